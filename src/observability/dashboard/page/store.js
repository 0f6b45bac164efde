// Frames as columns, the way charts read them.

/** 15 minutes of seconds. */
const LIVE_FRAMES_MAX = 900;

export class Store {
  /** @param {number} columns values per frame @param {boolean} bounded drops the oldest beyond 15 minutes */
  constructor(columns, bounded) {
    /** @type {number[]} */
    this.times = [];
    /** @type {(number | null)[][]} */
    this.columns = Array.from({ length: columns }, () => []);
    /** @type {number[][]} bucket, count, bucket, count, ... of each frame */
    this.heat = [];
    this.bounded = bounded;
    /** Whether a column has ever had a value. */
    this.ever = new Uint8Array(columns);
  }

  /** Of the last frame. */
  get end() {
    return this.times.at(-1) ?? 0;
  }

  get length() {
    return this.times.length;
  }

  clear() {
    this.times = [];
    this.heat = [];
    this.columns = this.columns.map(() => []);
    this.ever.fill(0);
  }

  /** @param {import('./model.js').Frame} frame */
  add({ t, v, h }) {
    if (this.times.length > 0 && t <= this.end) return;
    this.times.push(t);
    this.heat.push(h);
    for (const [index, column] of this.columns.entries()) {
      const value = v[index] ?? null;
      if (value !== null) this.ever[index] = 1;
      column.push(value);
    }
    if (!this.bounded || this.times.length <= LIVE_FRAMES_MAX) return;
    this.times.shift();
    this.heat.shift();
    for (const column of this.columns) column.shift();
  }

  /** Index of the frame at a time, or of the one before it. @param {number} seconds */
  indexAt(seconds) {
    let low = 0;
    let high = this.times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.times[middle] ?? 0) <= seconds) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
