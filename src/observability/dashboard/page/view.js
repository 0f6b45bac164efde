// Which stretch of time is shown, where the crosshair is, and who has to know.

/**
 * @typedef {{ min: number, max: number }} Range
 */

export class View {
  /** @param {import('./store.js').Store} store @param {number | null} seconds shown, counted from the end; null = all */
  constructor(store, seconds) {
    this.store = store;
    this.seconds = seconds;
    /** @type {Range | null} chosen by hand */
    this.zoom = null;
    this.paused = false;
    /** @type {number | null} index of the frame under the crosshair */
    this.cursor = null;
    /** @type {Range} */
    this.held = { min: 0, max: 1 };
    /** @type {(() => void)[]} */
    this.onRange = [];
    /** @type {(() => void)[]} */
    this.onCursor = [];
  }

  /** What the time axes show. @returns {Range} */
  get range() {
    if (this.zoom !== null) return this.zoom;
    if (this.paused) return this.held;
    return this.natural;
  }

  /** @returns {Range} */
  get natural() {
    const { times, end } = this.store;
    const first = times[0] ?? 0;
    if (this.seconds !== null) return { min: end - this.seconds, max: end };
    return end > first ? { min: first, max: end } : { min: end - 1, max: end };
  }

  /** @param {number | null} seconds */
  show(seconds) {
    this.seconds = seconds;
    this.zoom = null;
    this.held = this.natural;
    for (const listener of this.onRange) listener();
  }

  /** @param {Range | null} range null = back */
  zoomTo(range) {
    this.zoom = range;
    for (const listener of this.onRange) listener();
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.held = this.range;
    this.paused = paused;
    if (!paused) this.zoom = null;
    for (const listener of this.onRange) listener();
  }

  /** @param {number | null} index */
  point(index) {
    if (index === this.cursor) return;
    this.cursor = index;
    for (const listener of this.onCursor) listener();
  }

  /** Index whose values are written beside the charts: under the crosshair, or the last one shown. */
  get shown() {
    if (this.cursor !== null && this.cursor < this.store.length) return this.cursor;
    return this.store.indexAt(this.range.max);
  }
}
