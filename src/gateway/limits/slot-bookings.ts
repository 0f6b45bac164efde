/** A place in the virtual queue: its client may come back from `dueMs` on, and has it until `expiresMs`. */
export interface SlotBooking {
  readonly fingerprint: number;
  readonly sequences: number;
  dueMs: number;
  expiresMs: number;
  gone: boolean;
}

const GRACE_MIN_MS = 2000;
const GRACE_MAX_MS = 10_000;
/** Share of its wait that a client may come late. */
const GRACE_SHARE = 0.5;
/** Timers of clients may fire this much early. */
const EARLY_MS = 20;
/** Expired slots are looked for this often, so that the cost per arrival stays constant. */
const SWEEP_MS = 100;

/** How long a slot is kept for a client that was asked to wait `waitMs`. Whole seconds of `Retry-After` are in it. */
function graceMs(waitMs: number): number {
  return Math.min(GRACE_MAX_MS, Math.max(GRACE_MIN_MS, GRACE_SHARE * waitMs));
}

/** The booked slots, first come first. Memory is bounded by the caller, who asks for `count` before it books. */
export class SlotBookings {
  /** Not due yet, by due time; entries before `head` are gone. */
  private ahead: SlotBooking[] = [];
  private head = 0;
  private readonly due = new Set<SlotBooking>();
  private readonly byFingerprint = new Map<number, SlotBooking[]>();
  private sweptMs = Number.NEGATIVE_INFINITY;
  /** Sequences of all slots, and of those that are due. */
  sequences = 0;
  sequencesDue = 0;
  count = 0;
  /** Due time of the last slot in the queue. */
  lastDueMs = Number.NEGATIVE_INFINITY;

  /** Slots whose time has come become due; those nobody came for are given up. */
  advance(nowMs: number): void {
    for (; this.head < this.ahead.length; this.head++) {
      const booking = this.ahead[this.head]!;
      if (booking.gone) continue;
      if (booking.dueMs > nowMs + EARLY_MS) break;
      this.due.add(booking);
      this.sequencesDue += booking.sequences;
    }
    if (this.head > 1024 && this.head * 2 > this.ahead.length) {
      this.ahead = this.ahead.slice(this.head);
      this.head = 0;
    }
    if (nowMs - this.sweptMs < SWEEP_MS) return;
    this.sweptMs = nowMs;
    for (const booking of this.due) if (booking.expiresMs < nowMs) this.remove(booking);
  }

  /** Books at the end of the queue; `dueMs` is not before the last one's. */
  append(fingerprint: number, sequences: number, nowMs: number, dueMs: number): void {
    const booking = { fingerprint, sequences, dueMs, expiresMs: dueMs + graceMs(dueMs - nowMs), gone: false };
    this.ahead.push(booking);
    const equal = this.byFingerprint.get(fingerprint);
    if (equal === undefined) this.byFingerprint.set(fingerprint, [booking]);
    else equal.push(booking);
    this.lastDueMs = dueMs;
    this.sequences += sequences;
    this.count++;
  }

  /**
   * The slot of a fingerprint that its client may use at `nowMs`, else its next one, else null. Equal requests share their
   * slots in the order of booking.
   */
  find(fingerprint: number, nowMs: number): SlotBooking | null {
    let next: SlotBooking | null = null;
    for (const booking of this.byFingerprint.get(fingerprint) ?? []) {
      if (booking.dueMs <= nowMs + EARLY_MS) return booking;
      if (next === null || booking.dueMs < next.dueMs) next = booking;
      // Behind the first one that waits in the queue all are later.
      if (!this.due.has(booking)) break;
    }
    return next;
  }

  isDue(booking: SlotBooking, nowMs: number): boolean {
    return booking.dueMs <= nowMs + EARLY_MS;
  }

  /** A due slot whose client came and found no room after all is kept until a later time, ahead of everybody in the queue. */
  defer(booking: SlotBooking, nowMs: number, dueMs: number): void {
    booking.dueMs = dueMs;
    booking.expiresMs = dueMs + graceMs(dueMs - nowMs);
  }

  /** Takes a slot out: used, or given up. */
  remove(booking: SlotBooking): void {
    if (this.due.delete(booking)) this.sequencesDue -= booking.sequences;
    booking.gone = true;
    this.sequences -= booking.sequences;
    this.count--;
    const equal = this.byFingerprint.get(booking.fingerprint)!;
    if (equal.length === 1) this.byFingerprint.delete(booking.fingerprint);
    else equal.splice(equal.indexOf(booking), 1);
  }
}
