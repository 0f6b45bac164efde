import seedrandom from 'seedrandom';
import type { AdmissionConfig } from '../../../src/config/serve-config.ts';
import { AdmissionBook } from '../../../src/gateway/limits/admission-book.ts';

export interface OverloadOptions {
  readonly seed: string;
  /** Servers, and mean of their exponential-or-other service time, ms. */
  readonly servers: number;
  readonly serviceMs: (random: () => number) => number;
  /** Requests per second at time `ms`; 0 ends the arrivals. */
  readonly ratePerS: (ms: number) => number;
  readonly untilMs: number;
  readonly book: Partial<AdmissionConfig>;
  /** Share of the refused with a slot that come back. */
  readonly returnShare: number;
  /** How they come back: after the exact milliseconds, or the whole seconds of the header. */
  readonly wholeSecondsShare: number;
  /** What clients say of themselves on (first, second) tries. */
  readonly marks: readonly [boolean | null, boolean | null];
  /** All send the same body. */
  readonly equalBodies?: boolean;
}

export interface OverloadResult {
  readonly arrived: number;
  /** First tries that were admitted, got a slot, got none. */
  readonly admittedAtOnce: number;
  readonly booked: number;
  readonly bookedOut: number;
  readonly returned: number;
  readonly returnedAdmitted: number;
  readonly completed: number;
  /** Time between admission and start of service, ms, in order of start. */
  readonly waitsMs: readonly number[];
  readonly bookingsPeak: number;
  readonly waitingPeak: number;
  /** Busy share of the servers between `from` and `to`. */
  busyShare(fromMs: number, toMs: number): number;
  /** Refusals of first tries from this time on. */
  refusalsFrom(ms: number): number;
}

type Event = { readonly atMs: number; readonly kind: 'arrival' | 'return' | 'end'; readonly id: number };

/** A queue with `servers` servers behind an AdmissionBook, in virtual time. */
export function simulateOverload(options: OverloadOptions): OverloadResult {
  return new OverloadRun(options).run();
}

class OverloadRun {
  private readonly options: OverloadOptions;
  private readonly random: () => number;
  private readonly book: AdmissionBook;
  private readonly heap = new EventHeap();
  private readonly queue: number[] = [];
  private head = 0;
  private running = 0;
  private readonly counts = {
    arrived: 0,
    admittedAtOnce: 0,
    booked: 0,
    bookedOut: 0,
    returned: 0,
    returnedAdmitted: 0,
    completed: 0,
  };
  private readonly waitsMs: number[] = [];
  private bookingsPeak = 0;
  private waitingPeak = 0;
  private readonly busy: { atMs: number; running: number }[] = [];
  private readonly refusals: number[] = [];

  constructor(options: OverloadOptions) {
    this.options = options;
    this.random = seedrandom(options.seed);
    this.book = new AdmissionBook({
      waitingMax: 100_000,
      queueWaitMaxMs: 5000,
      retryAfterMaxMs: 60_000,
      bookingsMax: 65_536,
      predictedRequestMs: 1000,
      concurrency: options.servers,
      ...options.book,
    });
  }

  run(): OverloadResult {
    this.heap.push({ atMs: this.gapMs(0), kind: 'arrival', id: 0 });
    for (let event = this.heap.pop(); event !== null; event = this.heap.pop()) {
      if (event.kind === 'arrival') this.arrival(event);
      else if (event.kind === 'return') this.comeBack(event);
      else this.end(event.atMs);
      this.bookingsPeak = Math.max(this.bookingsPeak, this.book.booked);
      this.waitingPeak = Math.max(this.waitingPeak, this.waiting);
    }
    return {
      ...this.counts,
      waitsMs: this.waitsMs,
      bookingsPeak: this.bookingsPeak,
      waitingPeak: this.waitingPeak,
      busyShare: (fromMs, toMs) => this.busyShare(fromMs, toMs),
      refusalsFrom: (ms) => this.refusals.filter((at) => at >= ms).length,
    };
  }

  private get waiting(): number {
    return this.queue.length - this.head;
  }

  private gapMs(nowMs: number): number {
    const rate = this.options.ratePerS(nowMs);
    return (-Math.log(1 - this.random()) * 1000) / rate;
  }

  private ask(nowMs: number, id: number, mark: boolean | null) {
    const load = { waiting: this.waiting, running: this.running, sequencesMax: this.options.servers };
    return this.book.arrive(nowMs, this.options.equalBodies === true ? 1 : id + 1, mark, load);
  }

  private arrival({ atMs, id }: Event): void {
    const next = atMs + this.gapMs(atMs);
    if (next < this.options.untilMs) this.heap.push({ atMs: next, kind: 'arrival', id: id + 1 });
    this.counts.arrived++;
    const answer = this.ask(atMs, id, this.options.marks[0]);
    if (answer.admitted) {
      this.counts.admittedAtOnce++;
      this.enter(atMs);
      return;
    }
    this.refusals.push(atMs);
    if (answer.retryAfterMs === null) {
      this.counts.bookedOut++;
      return;
    }
    this.counts.booked++;
    if (this.random() >= this.options.returnShare) return;
    const whole = this.random() < this.options.wholeSecondsShare;
    const waitMs = whole ? Math.ceil(answer.retryAfterMs / 1000) * 1000 : answer.retryAfterMs;
    // The way to the client and back.
    this.heap.push({ atMs: atMs + waitMs + 50 * this.random(), kind: 'return', id });
  }

  private comeBack({ atMs, id }: Event): void {
    this.counts.returned++;
    if (!this.ask(atMs, id, this.options.marks[1]).admitted) return;
    this.counts.returnedAdmitted++;
    this.enter(atMs);
  }

  private enter(nowMs: number): void {
    this.queue.push(nowMs);
    this.serve(nowMs);
  }

  private serve(nowMs: number): void {
    while (this.running < this.options.servers && this.waiting > 0) {
      this.waitsMs.push(nowMs - this.queue[this.head++]!);
      this.running++;
      this.heap.push({ atMs: nowMs + this.options.serviceMs(this.random), kind: 'end', id: 0 });
    }
    this.busy.push({ atMs: nowMs, running: this.running });
  }

  private end(nowMs: number): void {
    this.running--;
    this.counts.completed++;
    this.book.completed(nowMs);
    this.serve(nowMs);
  }

  private busyShare(fromMs: number, toMs: number): number {
    let area = 0;
    for (let i = 0; i + 1 < this.busy.length; i++) {
      const from = Math.max(fromMs, this.busy[i]!.atMs);
      const to = Math.min(toMs, this.busy[i + 1]!.atMs);
      if (to > from) area += (to - from) * this.busy[i]!.running;
    }
    return area / (toMs - fromMs) / this.options.servers;
  }
}

class EventHeap {
  private readonly items: Event[] = [];

  push(event: Event): void {
    const { items } = this;
    let i = items.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (items[parent]!.atMs <= event.atMs) break;
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = event;
  }

  pop(): Event | null {
    const { items } = this;
    if (items.length === 0) return null;
    const top = items[0]!;
    const last = items.pop()!;
    if (items.length > 0) this.sink(last);
    return top;
  }

  private sink(event: Event): void {
    const { items } = this;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]!.atMs < items[child]!.atMs) child++;
      if (items[child]!.atMs >= event.atMs) break;
      items[i] = items[child]!;
      i = child;
    }
    items[i] = event;
  }
}
