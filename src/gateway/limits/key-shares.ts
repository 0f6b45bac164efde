import type { AdmissionConfig } from '../../config/serve-config.ts';
import type { KeyEntry } from '../auth.ts';
import { type Admission, AdmissionBook } from './admission-book.ts';
import { ServiceRate } from './service-rate.ts';

export interface Arrival {
  /** null where no key is configured. */
  readonly key: KeyEntry | null;
  readonly nowMs: number;
  /** Sequences of the request. */
  readonly sequences: number;
  /** Sequences that run, and how many may. */
  readonly running: number;
  readonly sequencesMax: number;
  /** What the client says, and what tells its tries from others: see `AdmissionBook.arrive`. */
  readonly isRetry: boolean | null;
  readonly fingerprint: () => number;
}

/** `share`: the key has its part already, and others have work. */
export type KeyAdmission =
  | Exclude<Admission, { readonly status: 429 }>
  | (Extract<Admission, { readonly status: 429 }> & { readonly waiting: number })
  | { readonly admitted: false; readonly status: 'share'; readonly message: string; readonly retryAfterMs: number };

interface KeyLoad {
  readonly tenant: number;
  readonly book: AdmissionBook;
  /** Sequences of calls that are being answered. */
  sequences: number;
}

const RETRY_MIN_MS = 100;

/**
 * Sequences that the engine must be able to hold. A lone key may fill batch and queue with `most`; the k-th one to come with work is
 * admitted behind as many sequences of each of the others as it has itself, so that it has at most the k-th part: 1 + 1/2 + 1/3 ...
 */
export function engineQueueMax(most: number, keys: number): number {
  return Math.ceil(most * (1 + Math.log(Math.max(1, keys))));
}

/**
 * Admission of the requests of several keys to one engine, which gives each place of its batch to the key with the fewest running
 * sequences. A lone key may use everything. As soon as another one has work, a key gets no further sequences beyond half of batch
 * and queue; and what counts as the queue before a request is only what goes before it: of each other key as many sequences as its
 * own key has. So the requests of a key that comes are not refused because of what others have queued, nor because of the slots
 * that others have booked.
 */
export class KeyShares {
  private readonly config: AdmissionConfig;
  private readonly apart: boolean;
  private readonly rate: ServiceRate;
  private readonly keys = new Map<string | null, KeyLoad>();
  /** Those with sequences. */
  private readonly busy = new Set<KeyLoad>();

  /** `apart`: keys are told apart. */
  constructor(config: AdmissionConfig, apart: boolean) {
    this.config = config;
    this.apart = apart;
    this.rate = new ServiceRate(config.concurrency, config.predictedRequestMs);
  }

  get waitingMax(): number {
    return this.config.waitingMax;
  }

  /** The engine's number of a key. */
  tenantOf(key: KeyEntry | null): number {
    return this.loadOf(key).tenant;
  }

  /** Decides about one request; the caller says with `entered` that an admitted one begins. */
  arrive(arrival: Arrival): KeyAdmission {
    const { nowMs, sequences, running, sequencesMax } = arrival;
    const own = this.loadOf(arrival.key);
    let total = own.sequences;
    let ahead = own.sequences;
    for (const other of this.busy) {
      if (other === own) continue;
      total += other.sequences;
      ahead += Math.min(other.sequences, own.sequences + 1);
    }
    const share = (own.sequences + sequences) / (ahead + sequences);
    const most = Math.max(1, Math.floor((sequencesMax + this.config.waitingMax) / 2));
    const excess = own.sequences + sequences - most;
    if (total > own.sequences && excess > 0) return this.shareRefused(most, excess, share);
    const waiting = Math.max(0, ahead - running);
    const behind = Math.max(0, total - running) - waiting;
    const { book } = own;
    const fingerprint = book.wantsFingerprint ? arrival.fingerprint() : 0;
    const load = { waiting, running, sequencesMax, behind, share };
    const admission = book.arrive(nowMs, fingerprint, arrival.isRetry, load, sequences);
    return admission.admitted || admission.status !== 429 ? admission : { ...admission, waiting };
  }

  entered(key: KeyEntry | null, sequences: number): void {
    const own = this.loadOf(key);
    own.sequences += sequences;
    this.busy.add(own);
  }

  /** A request that had entered has ended, in whatever way. */
  completed(key: KeyEntry | null, sequences: number, nowMs: number): void {
    const own = this.loadOf(key);
    own.sequences -= sequences;
    if (own.sequences === 0) this.busy.delete(own);
    own.book.completed(nowMs, sequences);
  }

  private shareRefused(most: number, excess: number, share: number): KeyAdmission {
    const predictedMs = Math.max(RETRY_MIN_MS, excess / (share * this.rate.sequencesPerMs));
    return {
      admitted: false,
      status: 'share',
      message: `limit of this key reached: at most ${most} sequences, half of batch and queue, while other keys have work`,
      retryAfterMs: Math.ceil(Math.min(predictedMs, Math.max(RETRY_MIN_MS, this.config.retryAfterMaxMs))),
    };
  }

  private loadOf(key: KeyEntry | null): KeyLoad {
    const name = this.apart && key !== null ? key.name : null;
    let load = this.keys.get(name);
    if (load === undefined) {
      const book: AdmissionBook = new AdmissionBook(this.config, this.rate, () => this.slotsLeft(book));
      load = { tenant: name === null ? 0 : this.keys.size + 1, book, sequences: 0 };
      this.keys.set(name, load);
    }
    return load;
  }

  /** Of the slots that are remembered one of several keys has at most half. */
  private slotsLeft(book: AdmissionBook): number {
    let booked = 0;
    for (const each of this.keys.values()) booked += each.book.booked;
    const { bookingsMax } = this.config;
    const own = this.keys.size === 1 ? bookingsMax : Math.ceil(bookingsMax / 2);
    return Math.min(own - book.booked, bookingsMax - booked);
  }
}
