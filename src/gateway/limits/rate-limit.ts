import type { KeyLimitsConfig } from '../../config/serve-config.ts';
import type { KeyEntry } from '../auth.ts';

/** Leave to run one request. `release` is idempotent. */
export interface Permit {
  readonly admitted: true;
  /** The request has ended and took so many tokens, prompt and output. */
  release(tokens: number, nowMs: number): void;
}

export interface Refusal {
  readonly admitted: false;
  readonly limit: 'requests' | 'tokens' | 'concurrency';
  /** Names the limit and its value. */
  readonly message: string;
  readonly retryAfterMs: number;
}

const MINUTE_MS = 60_000;
/** When one of a key's running requests ends nobody knows; a second is what clients wait by themselves. */
const CONCURRENCY_RETRY_MS = 1000;

/**
 * A token bucket: `perMinute` units flow in evenly, at most a minute's worth is kept. It may be overdrawn, since what a
 * request costs is known only at its end; then nothing is given until the debt is paid.
 */
class Bucket {
  private readonly perMinute: number;
  private level: number;
  private filledMs: number;

  constructor(perMinute: number, nowMs: number) {
    this.perMinute = perMinute;
    this.level = perMinute;
    this.filledMs = nowMs;
  }

  /** Time until `units` are there, ms; 0 = now. */
  waitMs(units: number, nowMs: number): number {
    this.fill(nowMs);
    const short = Math.min(units, this.perMinute) - this.level;
    return short <= 0 ? 0 : Math.ceil((short * MINUTE_MS) / this.perMinute);
  }

  take(units: number, nowMs: number): void {
    this.fill(nowMs);
    this.level -= units;
  }

  private fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.filledMs);
    this.level = Math.min(this.perMinute, this.level + (elapsedMs * this.perMinute) / MINUTE_MS);
    this.filledMs = Math.max(this.filledMs, nowMs);
  }
}

/** What one key has used. */
class KeyAccount {
  private readonly limits: KeyLimitsConfig;
  private requests: Bucket | null = null;
  private tokens: Bucket | null = null;
  private running = 0;

  constructor(limits: KeyLimitsConfig) {
    this.limits = limits;
  }

  enter(nowMs: number): Permit | Refusal {
    const { requestsPerMinute, tokensPerMinute, concurrencyMax } = this.limits;
    if (requestsPerMinute !== null) this.requests ??= new Bucket(requestsPerMinute, nowMs);
    if (tokensPerMinute !== null) this.tokens ??= new Bucket(tokensPerMinute, nowMs);
    if (concurrencyMax !== null && this.running >= concurrencyMax) {
      return refusal('concurrency', `requests at the same time: at most ${concurrencyMax}`, CONCURRENCY_RETRY_MS);
    }
    const requestsMs = this.requests?.waitMs(1, nowMs) ?? 0;
    if (requestsMs > 0) return refusal('requests', `requests per minute: at most ${requestsPerMinute}`, requestsMs);
    const tokensMs = this.tokens?.waitMs(1, nowMs) ?? 0;
    if (tokensMs > 0) return refusal('tokens', `tokens per minute: at most ${tokensPerMinute}`, tokensMs);
    this.requests?.take(1, nowMs);
    this.running++;
    return this.permit();
  }

  private permit(): Permit {
    let held = true;
    return {
      admitted: true,
      release: (tokens, nowMs) => {
        if (!held) return;
        held = false;
        this.running--;
        if (tokens > 0) this.tokens?.take(tokens, nowMs);
      },
    };
  }
}

function refusal(limit: Refusal['limit'], allowed: string, retryAfterMs: number): Refusal {
  return { admitted: false, limit, message: `limit of this key reached: ${allowed}`, retryAfterMs };
}

/**
 * Requests per minute, tokens per minute and concurrency of every key. Memory is that of the configured keys; without keys all
 * clients share one account.
 */
export class KeyLimits {
  private readonly accounts = new Map<string, KeyAccount>();
  private readonly everybody: KeyAccount;

  constructor(keys: readonly KeyEntry[], limits: KeyLimitsConfig) {
    this.everybody = new KeyAccount(limits);
    for (const key of keys) this.accounts.set(key.name, new KeyAccount({ ...limits, ...key.limits }));
  }

  enter(key: KeyEntry | null, nowMs: number): Permit | Refusal {
    const account = key === null ? this.everybody : (this.accounts.get(key.name) ?? this.everybody);
    return account.enter(nowMs);
  }
}
