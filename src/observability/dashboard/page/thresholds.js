// Targets and limits as lines and bands behind the data.

import { formatTick } from './format.js';
import { colour, translucent } from './theme.js';

const COLOURS = { target: 'good', warning: 'warn', critical: 'bad' };

/** A limit that lies far above everything would press the data flat: it is drawn once the data comes near. */
const NEAR = 2.5;

/**
 * The limits that the axis makes room for.
 * @param {import('./model.js').Threshold[]} thresholds @param {number} highest of the data
 */
export function nearThresholds(thresholds, highest) {
  return thresholds.filter(({ value }) => value <= highest * NEAR);
}

/**
 * Two targets, above one value and below another, are a band.
 * @param {import('./model.js').Threshold[]} thresholds
 */
function bandOf(thresholds) {
  const targets = thresholds.filter(({ kind }) => kind === 'target');
  const from = targets.find(({ comparison }) => comparison === '>')?.value;
  const to = targets.find(({ comparison }) => comparison === '<')?.value;
  return from !== undefined && to !== undefined && from < to ? { from, to } : null;
}

/**
 * Draws into a uPlot, before its series.
 * @param {any} plot @param {import('./model.js').Panel} panel
 */
export function drawThresholds(plot, { thresholds, unit }) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const band = bandOf(thresholds);
  const { min, max } = plot.scales.y;
  const at = (/** @type {number} */ value) => Math.round(plot.valToPos(value, 'y', true));
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  if (band !== null) {
    ctx.fillStyle = translucent('good', 0.1);
    const top = at(Math.min(band.to, max));
    ctx.fillRect(bbox.left, top, bbox.width, at(Math.max(band.from, min)) - top);
  }
  ctx.font = `${10 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = 'right';
  ctx.textBaseline = 'bottom';
  let labelled = Number.POSITIVE_INFINITY;
  for (const { kind, value } of [...thresholds].sort((a, b) => a.value - b.value)) {
    if (value > max || value < min || (band !== null && kind === 'target')) continue;
    const y = at(value) + 0.5;
    ctx.strokeStyle = translucent(COLOURS[kind], 0.75);
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    if (labelled - y < 12 * ratio || y - bbox.top < 12 * ratio) continue;
    labelled = y;
    ctx.fillStyle = colour(COLOURS[kind]);
    ctx.fillText(`${kind} ${formatTick(value, unit)}`, bbox.left + bbox.width - 4 * ratio, y - 2 * ratio);
  }
  ctx.restore();
}

/**
 * What a figure says of itself: the worst limit that it breaks.
 * @param {number | null} value @param {import('./model.js').Threshold[]} thresholds
 * @returns {{ state: 'none' | 'good' | 'off' | 'warn' | 'bad', broken: import('./model.js').Threshold | null }}
 */
export function judged(value, thresholds) {
  if (value === null) return { state: 'none', broken: null };
  const breaks = (/** @type {import('./model.js').Threshold} */ { kind, comparison, value: limit }) =>
    kind === 'target'
      ? comparison === '>'
        ? value <= limit
        : value >= limit
      : comparison === '>'
        ? value > limit
        : value < limit;
  const states = /** @type {const} */ ([
    ['critical', 'bad'],
    ['warning', 'warn'],
    ['target', 'off'],
  ]);
  for (const [kind, state] of states) {
    // The highest limit that is broken says the most; of a lower bound it is the only one.
    const broken = thresholds.filter((threshold) => threshold.kind === kind && breaks(threshold));
    const worst = broken.at(-1);
    if (worst !== undefined) return { state, broken: worst };
  }
  return { state: 'good', broken: null };
}
