/** A histogram whose counts lie on a metrics page. Observing a value n times costs the same for any n. */
export class PageHistogram {
  private readonly cells: Float64Array;
  private readonly at: number;
  private readonly bounds: Float64Array;

  /** `at`: the first of bounds.length + 2 cells. */
  constructor(cells: Float64Array, at: number, bounds: readonly number[]) {
    this.cells = cells;
    this.at = at;
    this.bounds = Float64Array.from(bounds);
  }

  /** Counts `value` `count` times, in the first bucket whose upper bound is not below it. NaN is counted nowhere. */
  observe(value: number, count = 1): void {
    if (!(count > 0) || Number.isNaN(value)) return;
    const { bounds, cells, at } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    cells[at + low]! += count;
    cells[at + bounds.length + 1]! += value * count;
  }
}
