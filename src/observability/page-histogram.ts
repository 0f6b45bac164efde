/** A histogram whose counts lie on a metrics page. Observing a value n times costs the same for any n. */
export class PageHistogram {
  private readonly cells: Float64Array;
  private readonly at: number;
  private readonly bounds: Float64Array;
  /** Where the last value fell: the next one is often much like it. Values in (lastAbove, lastUpTo] fall there as well. */
  private last = 0;
  private lastAbove = Number.POSITIVE_INFINITY;
  private lastUpTo = Number.NEGATIVE_INFINITY;

  /** `at`: the first of bounds.length + 2 cells. */
  constructor(cells: Float64Array, at: number, bounds: readonly number[]) {
    this.cells = cells;
    this.at = at;
    this.bounds = Float64Array.from(bounds);
  }

  /** Counts `value` `count` times, in the first bucket whose upper bound is not below it. NaN is counted nowhere. */
  observe(value: number, count = 1): void {
    if (!(count > 0) || Number.isNaN(value)) return;
    if (!(value > this.lastAbove && value <= this.lastUpTo)) this.find(value);
    const { cells, at } = this;
    cells[at + this.last]! += count;
    cells[at + this.bounds.length + 1]! += value * count;
  }

  /** Observations so far. */
  get count(): number {
    let count = 0;
    for (let bucket = 0; bucket <= this.bounds.length; bucket++) count += this.cells[this.at + bucket]!;
    return count;
  }

  private find(value: number): void {
    const { bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    this.last = low;
    this.lastAbove = low === 0 ? Number.NEGATIVE_INFINITY : bounds[low - 1]!;
    this.lastUpTo = low === bounds.length ? Number.POSITIVE_INFINITY : bounds[low]!;
  }
}
