/**
 * Smallest (or largest) of the values since any earlier moment, without keeping them all: a stack in which each value is larger
 * (smaller) than those below it. A value that a later one undercuts can never be an answer again and goes. Adding costs O(1) on
 * average, asking O(log size); the size is at most the number of different values.
 */
export class RangeExtreme {
  private readonly sign: 1 | -1;
  private positions = new Float64Array(64);
  private values = new Float64Array(64);
  private size = 0;

  constructor(kind: 'min' | 'max') {
    this.sign = kind === 'min' ? 1 : -1;
  }

  /** `position` never falls from call to call. */
  add(position: number, value: number): void {
    const { sign, values } = this;
    while (this.size > 0 && sign * values[this.size - 1]! >= sign * value) this.size--;
    if (this.size === values.length) this.grow();
    this.positions[this.size] = position;
    this.values[this.size++] = value;
  }

  /** Over the values at positions above `position`; NaN when there is none. */
  since(position: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.positions[middle]! > position) high = middle;
      else low = middle + 1;
    }
    return low < this.size ? this.values[low]! : Number.NaN;
  }

  private grow(): void {
    const positions = new Float64Array(2 * this.positions.length);
    const values = new Float64Array(2 * this.values.length);
    positions.set(this.positions);
    values.set(this.values);
    this.positions = positions;
    this.values = values;
  }
}
