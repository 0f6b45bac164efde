// How many observations fell into which bucket, over time.

import { translucent } from './theme.js';

/** Where the first bucket, which begins at 0, begins on a logarithmic axis. */
const FIRST_RATIO = 0.5;

/** Lower and upper end of a bucket; the last one has no upper end. @param {number[]} bounds @param {number} bucket */
function edges(bounds, bucket) {
  const lower = bucket === 0 ? (bounds[0] ?? 1) * FIRST_RATIO : (bounds[bucket - 1] ?? 1);
  return { lower, upper: bounds[bucket] ?? lower * 2 };
}

/**
 * Axis that holds all buckets with observations between two frames, and the limits.
 * @param {import('./store.js').Store} store @param {number} from @param {number} to @param {number[]} bounds
 * @returns {[number, number]}
 */
export function heatmapRange(store, from, to, bounds) {
  let low = bounds.length;
  let high = -1;
  for (let frame = from; frame <= to; frame++) {
    const cells = store.heat[frame] ?? [];
    if (cells.length === 0) continue;
    low = Math.min(low, cells[0] ?? 0);
    high = Math.max(high, cells[cells.length - 2] ?? 0);
  }
  // With or without traffic the targets are in sight: 50 ms to 0.5 s.
  const lowest = high < 0 ? 0.05 : Math.min(0.05, edges(bounds, low).lower);
  const highest = high < 0 ? 0.75 : Math.max(0.75, edges(bounds, high).upper);
  return [lowest, highest];
}

/** @param {import('./store.js').Store} store @param {number} from @param {number} to */
function mostObservations(store, from, to) {
  let most = 0;
  for (let frame = from; frame <= to; frame++) {
    const cells = store.heat[frame] ?? [];
    for (let i = 1; i < cells.length; i += 2) most = Math.max(most, cells[i] ?? 0);
  }
  return most;
}

/** Shades of one colour, so that many cells need few changes of it. */
const SHADES = 12;

/**
 * Draws into a uPlot, before its series.
 * @param {any} plot @param {import('./store.js').Store} store @param {number[]} bounds
 */
export function drawHeatmap(plot, store, bounds) {
  const { ctx, bbox } = plot;
  const { min, max } = plot.scales.x;
  const from = store.indexAt(min);
  const to = store.indexAt(max);
  const most = mostObservations(store, from, to);
  if (most === 0) return;
  const rows = Array.from({ length: bounds.length + 1 }, (_, bucket) => {
    const { lower, upper } = edges(bounds, bucket);
    return { top: plot.valToPos(upper, 'y', true), bottom: plot.valToPos(lower, 'y', true) };
  });
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  /** @type {[number, number, number, number][][]} */
  const shades = Array.from({ length: SHADES + 1 }, () => []);
  let begin = plot.valToPos(store.times[Math.max(0, from - 1)], 'x', true);
  for (let frame = from; frame <= to; frame++) {
    const end = plot.valToPos(store.times[frame], 'x', true);
    const cells = store.heat[frame] ?? [];
    for (let i = 0; i < cells.length; i += 2) {
      const row = rows[cells[i] ?? 0];
      if (row === undefined) continue;
      // The square root: rare ones, which matter most, stay visible beside many.
      const shade = Math.max(1, Math.ceil(SHADES * Math.sqrt((cells[i + 1] ?? 0) / most)));
      shades[shade]?.push([begin, row.top, Math.max(1, end - begin + 0.5), row.bottom - row.top - 1]);
    }
    begin = end;
  }
  for (const [shade, rectangles] of shades.entries()) {
    ctx.fillStyle = translucent('heat', 0.1 + (0.9 * shade) / SHADES);
    for (const [x, y, width, height] of rectangles) ctx.fillRect(x, y, width, height);
  }
  ctx.restore();
}
