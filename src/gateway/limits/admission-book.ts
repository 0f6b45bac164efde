import type { AdmissionConfig } from '../../config/serve-config.ts';
import { ServiceRate } from './service-rate.ts';
import { SlotBookings } from './slot-bookings.ts';

/** What the engine holds, in sequences. */
export interface EngineLoad {
  readonly waiting: number;
  readonly running: number;
  /** Running at most. */
  readonly sequencesMax: number;
  /** Sequences that wait and that a newcomer goes before; not in `waiting`. */
  readonly behind?: number;
  /** Part of the service that goes to the clients of this book, up to 1. */
  readonly share?: number;
}

/**
 * 429: come back after `retryAfterMs`, a slot is kept; 503: the server is booked out for longer than a client should wait, and
 * makes no promise.
 */
export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly status: 429; readonly retryAfterMs: number }
  | { readonly admitted: false; readonly status: 503; readonly retryAfterMs: null };

const ADMITTED: Admission = { admitted: true };
const BOOKED_OUT: Admission = { admitted: false, status: 503, retryAfterMs: null };

/** Nobody is admitted beyond this share of the longest wait: the rest absorbs errors of the measured rate. */
const WAIT_SHARE = 0.85;
/**
 * Part of the queue that newcomers leave to clients with a slot, who come in no even rhythm: a share, and for short queues a
 * multiple of the square root, as the spread of random arrivals grows.
 */
const KEPT_SHARE = 0.3;
const KEPT_SPREAD = 2;
/** A queue this short (share of what newcomers may use) takes them even if slots are due: no-shows must not idle the engine. */
const LOW_SHARE = 0.35;
/** Slots are booked at this share of the measured rate; newcomers use what is left of it. */
const PACE = 0.9;
const RETRY_MIN_MS = 100;
/** Requests wait although sequences could run, and none has begun for so long: memory is what limits. */
const MEMORY_BOUND_MS = 1000;

/**
 * Overload control with an honest Retry-After. A request is admitted while the predicted wait (sequences that wait / measured
 * rate of service) and the number of those that wait are within bounds. One that is refused books a slot in a virtual queue
 * behind everything that waits and is booked already; it is told when its turn comes, and when it comes back then, there is
 * room: newcomers get only what the due slots leave. A slot that nobody comes for expires.
 *
 * The idea is the virtual queue of call centres (Armony & Maglaras 2004, "On customer contact centers with a call-back
 * option"); the bounds' shares and the pace are this project's own, held by simulation in its tests.
 */
export class AdmissionBook {
  private readonly options: AdmissionConfig;
  private readonly rate: ServiceRate;
  private readonly bookings = new SlotBookings();
  private readonly slotsLeft: () => number;
  private share = 1;
  private pressed = false;
  private runningPeak = 0;
  private stuckSinceMs: number | null = null;

  /** Books of several clients share the measured rate; `slotsLeft`: how many slots this one may still book. */
  constructor(
    options: AdmissionConfig,
    rate: ServiceRate = new ServiceRate(options.concurrency, options.predictedRequestMs),
    slotsLeft: () => number = () => options.bookingsMax - this.bookings.count,
  ) {
    this.options = options;
    this.rate = rate;
    this.slotsLeft = slotsLeft;
  }

  get waitingMax(): number {
    return this.options.waitingMax;
  }

  /** Slots kept at the moment, at most `bookingsMax`. */
  get booked(): number {
    return this.bookings.count;
  }

  /** Sequences per second that a full engine completes, as measured. */
  get sequencesPerSecond(): number {
    return this.rate.sequencesPerMs * 1000;
  }

  /** Fingerprints are worth their cost: someone is or may soon be refused. */
  get wantsFingerprint(): boolean {
    return this.pressed || this.bookings.count > 0;
  }

  /**
   * Decides about one request of `sequences` sequences. `fingerprint`: what a second try has in common with the first, see
   * `bodyFingerprint`. `isRetry`: the client says that it is a second try (true), a first one (false), or nothing (null); equal
   * first tries of clients that say nothing are taken for second ones once a slot of theirs is due.
   */
  arrive(nowMs: number, fingerprint: number, isRetry: boolean | null, load: EngineLoad, sequences = 1): Admission {
    this.bookings.advance(nowMs);
    const waiting = this.waitingAhead(nowMs, load);
    this.rate.waiting(nowMs, waiting + (load.behind ?? 0));
    this.share = load.share ?? 1;
    this.pressed = this.excess(waiting, sequences, LOW_SHARE * this.newcomersMax) > 0;
    if (sequences > this.options.waitingMax + load.sequencesMax) return BOOKED_OUT;
    const slot = isRetry === false ? null : this.slotOf(nowMs, fingerprint, isRetry === true);
    if (slot !== null && this.bookings.isDue(slot, nowMs)) {
      const excess = this.excess(waiting, sequences, this.queueMax);
      if (excess <= 0) {
        this.bookings.remove(slot);
        return ADMITTED;
      }
      const dueMs = nowMs + Math.max(RETRY_MIN_MS, excess / this.paceMs);
      this.bookings.defer(slot, nowMs, dueMs);
      return refusal(dueMs - nowMs);
    }
    if (this.takesNewcomer(waiting, sequences)) {
      if (slot !== null && isRetry === true) this.bookings.remove(slot);
      return ADMITTED;
    }
    // Who comes back too early keeps the slot. Who does not say so may be somebody else with the same request.
    if (slot !== null && isRetry === true) return refusal(slot.dueMs - nowMs);
    return this.book(nowMs, fingerprint, waiting, sequences);
  }

  /** A request of so many sequences that was admitted has ended, in whatever way. */
  completed(nowMs: number, sequences = 1): void {
    this.rate.completed(nowMs, sequences);
  }

  /** A request that was refused before fingerprints were wanted left 0: one that says it is a second try may have that slot. */
  private slotOf(nowMs: number, fingerprint: number, isRetry: boolean) {
    const { bookings } = this;
    if (bookings.count === 0) return null;
    return bookings.find(fingerprint, nowMs) ?? (isRetry ? bookings.find(0, nowMs) : null);
  }

  private book(nowMs: number, fingerprint: number, waiting: number, sequences: number): Admission {
    const { bookings } = this;
    if (this.slotsLeft() <= 0) return BOOKED_OUT;
    const excess = this.excess(waiting + bookings.sequences, sequences, this.newcomersMax);
    const behindLastMs = bookings.lastDueMs + sequences / this.paceMs;
    const dueMs = Math.max(nowMs + RETRY_MIN_MS, nowMs + excess / this.paceMs, behindLastMs);
    if (dueMs - nowMs > this.options.retryAfterMaxMs) return BOOKED_OUT;
    bookings.append(fingerprint, sequences, nowMs, dueMs);
    return refusal(dueMs - nowMs);
  }

  private get paceMs(): number {
    return PACE * this.share * this.rate.sequencesPerMs;
  }

  /** Sequences that may wait. */
  private get queueMax(): number {
    const { waitingMax, queueWaitMaxMs } = this.options;
    return Math.min(waitingMax, WAIT_SHARE * queueWaitMaxMs * this.rate.sequencesPerMs);
  }

  /** ... while slots are booked, before a newcomer. */
  private get newcomersMax(): number {
    const most = this.queueMax;
    return Math.max(0, most - Math.max(KEPT_SHARE * most, KEPT_SPREAD * Math.sqrt(most)));
  }

  private takesNewcomer(waiting: number, sequences: number): boolean {
    const { count, sequencesDue } = this.bookings;
    if (count === 0) return this.excess(waiting, sequences, this.queueMax) <= 0;
    const most = this.newcomersMax;
    return (
      this.excess(waiting, sequences, LOW_SHARE * most) <= 0 ||
      this.excess(waiting + sequencesDue, sequences, most) <= 0
    );
  }

  /**
   * Sequences that must begin before one more request finds a queue of at most `most`, itself included. With nobody ahead there
   * is nothing to wait for, however slow the service: then only `waitingMax` counts.
   */
  private excess(waiting: number, sequences: number, most: number): number {
    const own = waiting + sequences;
    return waiting <= 0 ? Math.max(0, own - this.options.waitingMax) : own - Math.max(most, 0);
  }

  /** Sequences ahead of a newcomer; negative = so many could begin at once. */
  private waitingAhead(nowMs: number, load: EngineLoad): number {
    const free = Math.max(0, load.sequencesMax - load.running);
    const stuck = load.waiting > 0 && free > 0;
    if (!stuck || load.running > this.runningPeak || this.stuckSinceMs === null) {
      this.stuckSinceMs = stuck ? nowMs : null;
      this.runningPeak = load.running;
    }
    const memoryBound = this.stuckSinceMs !== null && nowMs - this.stuckSinceMs > MEMORY_BOUND_MS;
    return memoryBound ? load.waiting : load.waiting - free;
  }
}

function refusal(waitMs: number): Admission {
  return { admitted: false, status: 429, retryAfterMs: Math.max(1, Math.ceil(waitMs)) };
}
