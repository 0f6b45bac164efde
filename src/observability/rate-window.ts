/** Growth of several counters over a sliding window, from samples taken now and then. */
export class RateWindow {
  private readonly windowNs: number;
  private readonly width: number;
  private readonly capacity: number;
  private readonly times: Float64Array;
  private readonly values: Float64Array;
  private head = 0;
  private count = 0;

  /** `counters` per sample; `samplesMax` samples are kept, spread over the window. */
  constructor(windowNs: number, counters: number, samplesMax = 128) {
    this.windowNs = windowNs;
    this.width = counters;
    this.capacity = samplesMax + 2;
    this.times = new Float64Array(this.capacity);
    this.values = new Float64Array(this.capacity * counters);
  }

  /** Adds a sample and drops those that the window has left; the newest one beyond it stays, as its other end. */
  add(nowNs: number, counters: Float64Array): void {
    // A sample very near to the one before replaces it, so that frequent samples do not shorten the window.
    const spacingNs = this.windowNs / (this.capacity - 2);
    const replaces = this.count > 1 && nowNs - this.times[this.index(this.count - 2)]! < spacingNs;
    if (replaces) this.count--;
    while (this.count > 1 && (this.count === this.capacity || this.times[this.index(1)]! <= nowNs - this.windowNs)) {
      this.head = (this.head + 1) % this.capacity;
      this.count--;
    }
    const at = this.index(this.count++);
    this.times[at] = nowNs;
    this.values.set(counters, at * this.width);
  }

  /** Time between the window's ends; 0 before the second sample. */
  get spanNs(): number {
    return this.count < 2 ? 0 : this.times[this.index(this.count - 1)]! - this.times[this.head]!;
  }

  /** Growth of counter `which` from end to end. */
  growth(which: number): number {
    if (this.count < 2) return 0;
    const newest = this.index(this.count - 1);
    return this.values[newest * this.width + which]! - this.values[this.head * this.width + which]!;
  }

  private index(i: number): number {
    return (this.head + i) % this.capacity;
  }
}
