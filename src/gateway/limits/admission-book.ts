export interface AdmissionOptions {
  /** Sequences that may wait, whatever the prediction says. */
  readonly waitingMax: number;
  /** Predicted wait in the queue above which nobody is taken, ms. */
  readonly queueWaitMaxMs: number;
  /** Longest Retry-After, ms: who would have to wait longer gets no slot. */
  readonly retryAfterMaxMs: number;
  /** Sequences per second that the server is expected to finish, until it has been measured. */
  readonly rateGuess: number;
}

export interface Load {
  readonly waiting: number;
  readonly running: number;
  readonly sequencesMax: number;
}

export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly status: 429 | 503; readonly retryAfterMs: number };

interface Slot {
  readonly dueMs: number;
  readonly expiresMs: number;
  readonly sequences: number;
}

/** A booked client may be late by this, or by half of its wait if that is more: Retry-After is in whole seconds. */
const GRACE_MS = 3000;
/** And early by this: clocks and networks. */
const EARLY_MS = 100;
/** Booked clients may go so far beyond the queue's bound: the prediction that sent them away was not exact. */
const BOOKED_SLACK = 1.25;
const SLOTS_MAX = 100_000;
/** Time constant of the measured rate, ms. */
const RATE_MEMORY_MS = 10_000;
/** Slots that the share of returning clients is averaged over. */
const RETURN_MEMORY = 64;

/**
 * Who may come in, and when those come back who may not. Taken is who finds a place in the batch or in a queue whose predicted wait
 * is bearable. Who is refused gets a slot: the time at which, at the measured rate, there will be room after all who wait and all
 * slots given before. Rooms of slots that are due are kept for their owners, so that waiting once is enough; since
 * not everybody comes back, only the share is kept that usually does.
 */
export class AdmissionBook {
  readonly waitingMax: number;
  private readonly options: AdmissionOptions;
  /** By fingerprint, in the order of their due times (they are given out in that order). */
  private readonly slots = new Map<number, Slot>();
  private lastSlotMs = 0;
  /** Completions and time while the server was saturated, decayed. */
  private finished: number;
  private busyMs: number;
  private lastMs = 0;
  private saturated = false;
  private returnRatio = 1;

  constructor(options: AdmissionOptions) {
    this.options = options;
    this.waitingMax = options.waitingMax;
    // The guess counts as much as two seconds of measurement.
    this.busyMs = 2000;
    this.finished = (options.rateGuess * this.busyMs) / 1000;
  }

  /** Sequences per millisecond while there is work enough. */
  get ratePerMs(): number {
    return Math.max(1e-6, this.finished / this.busyMs);
  }

  get booked(): number {
    return this.slots.size;
  }

  /** `fingerprint` is asked for only when somebody is or was refused. */
  arrive(nowMs: number, fingerprint: () => number, load: Load, sequences = 1): Admission {
    this.tick(nowMs, load);
    const waitingBound = Math.min(
      this.waitingMax,
      Math.max(1, Math.floor(this.ratePerMs * this.options.queueWaitMaxMs)),
    );
    const occupied = load.waiting + load.running;
    const room = load.sequencesMax + waitingBound - occupied;
    const kept = this.keptForOwners(nowMs);
    if (this.slots.size === 0 && room >= sequences) return { admitted: true };
    const print = fingerprint();
    const slot = this.slots.get(print);
    if (slot !== undefined && nowMs >= slot.dueMs - EARLY_MS) {
      const bookedRoom = load.sequencesMax + BOOKED_SLACK * waitingBound - occupied;
      if (bookedRoom < sequences) return this.refuse(nowMs, print, sequences, room - kept);
      this.close(print, true);
      return { admitted: true };
    }
    if (room - kept >= sequences) {
      this.slots.delete(print);
      return { admitted: true };
    }
    if (slot !== undefined) return { admitted: false, status: 429, retryAfterMs: Math.ceil(slot.dueMs - nowMs) };
    return this.refuse(nowMs, print, sequences, room - kept);
  }

  /** `sequences` of a request have ended. */
  completed(nowMs: number, load: Load, sequences = 1): void {
    this.tick(nowMs, load);
    if (this.saturated) this.finished += sequences;
  }

  private refuse(nowMs: number, print: number, sequences: number, room: number): Admission {
    const { retryAfterMaxMs } = this.options;
    const behindMs = Math.max(0, -room) / this.ratePerMs;
    const ownMs = (sequences * Math.max(0.05, this.returnRatio)) / this.ratePerMs;
    const dueMs = Math.max(this.lastSlotMs, nowMs + behindMs) + ownMs;
    const waitMs = Math.ceil(dueMs - nowMs);
    if (waitMs > retryAfterMaxMs || this.slots.size >= SLOTS_MAX) {
      return { admitted: false, status: 503, retryAfterMs: retryAfterMaxMs };
    }
    this.lastSlotMs = dueMs;
    this.slots.delete(print);
    this.slots.set(print, { dueMs, expiresMs: dueMs + Math.max(GRACE_MS, waitMs / 2), sequences });
    return { admitted: false, status: 429, retryAfterMs: waitMs };
  }

  /** Room for the owners of slots that are due; those that came too late lose theirs. */
  private keptForOwners(nowMs: number): number {
    let due = 0;
    for (const [print, slot] of this.slots) {
      if (slot.dueMs > nowMs) break;
      if (slot.expiresMs < nowMs) this.close(print, false);
      else due += slot.sequences;
    }
    return due * this.returnRatio;
  }

  private close(print: number, returned: boolean): void {
    this.slots.delete(print);
    this.returnRatio += ((returned ? 1 : 0) - this.returnRatio) / RETURN_MEMORY;
  }

  private tick(nowMs: number, load: Load): void {
    const passedMs = Math.max(0, nowMs - this.lastMs);
    this.lastMs = nowMs;
    // The first call tells no duration.
    if (this.saturated && passedMs < RATE_MEMORY_MS) {
      this.busyMs += passedMs;
      if (this.busyMs > RATE_MEMORY_MS) {
        this.finished *= RATE_MEMORY_MS / this.busyMs;
        this.busyMs = RATE_MEMORY_MS;
      }
    }
    this.saturated = load.waiting > 0 || load.running >= load.sequencesMax;
  }
}
