import type { CallbackSource } from '../observability/index.ts';

export interface CallbackFailure {
  readonly source: CallbackSource;
  readonly error: unknown;
  /** Times that this source has failed with this message. */
  readonly count: number;
}

/** Distinct messages that are counted apart; further ones are counted per source. */
const MESSAGES_MAX = 200;

/**
 * Runs what no request waits for: timers, samplers, messages of other threads. An exception in one of them would end the process,
 * which is worse than one missed sample, for example when file descriptors run out. Here it is counted, reported and left behind.
 * Each source and message is reported at its first failure and then each time their number has grown tenfold.
 */
export class Guard {
  private readonly report: (failure: CallbackFailure) => void;
  private readonly count: (source: CallbackSource) => void;
  private readonly failures = new Map<string, number>();

  constructor(report: (failure: CallbackFailure) => void, count: (source: CallbackSource) => void = () => {}) {
    this.report = report;
    this.count = count;
  }

  /** Runs `work` now. A promise that it returns may be rejected. */
  run(source: CallbackSource, work: () => unknown): void {
    try {
      const result = work();
      if (result instanceof Promise) result.catch((error: unknown) => this.failed(source, error));
    } catch (error) {
      this.failed(source, error);
    }
  }

  /** Runs `work` every `intervalMs`. */
  every(source: CallbackSource, intervalMs: number, work: () => unknown): NodeJS.Timeout {
    return setInterval(() => this.run(source, work), intervalMs);
  }

  /** Runs `work` once, after `delayMs`. */
  after(source: CallbackSource, delayMs: number, work: () => unknown): NodeJS.Timeout {
    return setTimeout(() => this.run(source, work), delayMs);
  }

  /** Runs `work` once, when the event loop has looked at its sockets. */
  soon(source: CallbackSource, work: () => unknown): void {
    setImmediate(() => this.run(source, work));
  }

  /** Notes a failure that was caught elsewhere. Never throws. */
  failed(source: CallbackSource, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const own = `${source} ${message}`;
    const key = this.failures.has(own) || this.failures.size < MESSAGES_MAX ? own : source;
    const count = (this.failures.get(key) ?? 0) + 1;
    this.failures.set(key, count);
    try {
      this.count(source);
      if (/^10*$/.test(String(count))) this.report({ source, error, count });
    } catch {
      // A log that fails has counted its loss itself.
    }
  }
}
