/** Average distances between samples beyond which the end of a range counts as missing; Prometheus' constant. */
const NEAR = 1.1;

/**
 * The samples of one series in a range that moves on, and what Prometheus' functions make of them. Both ends of the range belong
 * to it (Prometheus 2; 3 leaves out the left one). A sample costs the same however long the range is.
 */
export class SampleWindow {
  private readonly rangeMs: number;
  private times = new Float64Array(32);
  private values = new Float64Array(32);
  private head = 0;
  private count = 0;
  /** Neighbours in the window of which the later one is lower: restarts of a counter. */
  private resets = 0;

  constructor(rangeMs: number) {
    this.rangeMs = rangeMs;
  }

  /** `timeMs` ascends. */
  push(timeMs: number, value: number): void {
    if (this.count === this.times.length) this.grow();
    if (this.count > 0 && value < this.values[this.index(this.count - 1)]!) this.resets++;
    const at = this.index(this.count++);
    this.times[at] = timeMs;
    this.values[at] = value;
  }

  /** Drops what lies before the range that ends at `nowMs`. */
  advance(nowMs: number): void {
    const from = nowMs - this.rangeMs;
    while (this.count > 0 && this.times[this.head]! < from) {
      const next = this.index(1);
      if (this.count > 1 && this.values[next]! < this.values[this.head]!) this.resets--;
      this.head = next;
      this.count--;
    }
  }

  get samples(): number {
    return this.count;
  }

  /**
   * `increase()` of a counter: growth between the first and the last sample, extrapolated to the ends of the range, or by half
   * the distance between samples where an end is farther away than that; never to before the counter was 0. The operations are
   * Prometheus 2.42's, in its order, so that the results are the same to the bit. Needs 2 samples.
   */
  increase(nowMs: number): number {
    return this.growth() * this.extrapolation(nowMs);
  }

  /** `rate()`: per second of the range. */
  rate(nowMs: number): number {
    return this.growth() * (this.extrapolation(nowMs) / (this.rangeMs / 1000));
  }

  /** `max_over_time()`; needs 1 sample. */
  max(): number {
    let max = this.values[this.head]!;
    for (let i = 1; i < this.count; i++) max = Math.max(max, this.values[this.index(i)]!);
    return max;
  }

  private growth(): number {
    let growth = this.values[this.index(this.count - 1)]! - this.values[this.head]!;
    for (let i = 1, left = this.resets; left > 0; i++) {
      const before = this.values[this.index(i - 1)]!;
      if (this.values[this.index(i)]! >= before) continue;
      growth += before;
      left--;
    }
    return growth;
  }

  private extrapolation(nowMs: number): number {
    const first = this.times[this.head]!;
    const last = this.times[this.index(this.count - 1)]!;
    const sampled = (last - first) / 1000;
    const average = sampled / (this.count - 1);
    let toStart = (first - (nowMs - this.rangeMs)) / 1000;
    const toEnd = (nowMs - last) / 1000;
    const growth = this.growth();
    const value = this.values[this.head]!;
    if (growth > 0 && value >= 0) toStart = Math.min(toStart, sampled * (value / growth));
    let extrapolated = sampled;
    extrapolated += toStart < average * NEAR ? toStart : average / 2;
    extrapolated += toEnd < average * NEAR ? toEnd : average / 2;
    return extrapolated / sampled;
  }

  private index(i: number): number {
    const at = this.head + i;
    return at >= this.times.length ? at - this.times.length : at;
  }

  private grow(): void {
    const { times, values } = this;
    const size = times.length;
    this.times = new Float64Array(size * 2);
    this.values = new Float64Array(size * 2);
    for (let i = 0; i < this.count; i++) {
      const from = (this.head + i) % size;
      this.times[i] = times[from]!;
      this.values[i] = values[from]!;
    }
    this.head = 0;
  }
}
