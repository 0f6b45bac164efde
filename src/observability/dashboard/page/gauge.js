// The arc beside a chart: one ratio against its limits.

import { formatValue } from './format.js';
import { judged } from './thresholds.js';

const SVG = 'http://www.w3.org/2000/svg';
const RADIUS = 40;
const CENTRE = 50;

/** A point of the half circle. @param {number} share 0 to 1, from left to right @param {number} radius */
function onArc(share, radius) {
  const angle = Math.PI * (1 - Math.min(1, Math.max(0, share)));
  return `${(CENTRE + radius * Math.cos(angle)).toFixed(2)} ${(CENTRE - radius * Math.sin(angle)).toFixed(2)}`;
}

/** @param {number} from @param {number} to @param {number} radius */
function arc(from, to, radius) {
  return `M ${onArc(from, radius)} A ${radius} ${radius} 0 0 1 ${onArc(to, radius)}`;
}

/** @param {string} tag @param {Record<string, string>} attributes */
function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export class Gauge {
  /** @param {HTMLElement} place @param {import('./model.js').Panel} panel */
  constructor(place, panel) {
    this.panel = panel;
    const svg = shape('svg', { viewBox: '0 0 100 66', focusable: 'false' });
    svg.append(shape('path', { d: arc(0, 1, RADIUS), class: 'gauge-rest' }));
    const zones = shape('g', { class: 'gauge-zones' });
    for (const [from, to, kind] of this.zones())
      zones.append(shape('path', { d: arc(from, to, RADIUS + 7), class: kind }));
    this.value = shape('path', { d: '', class: 'gauge-value' });
    this.text = shape('text', { x: '50', y: '50', class: 'gauge-text' });
    svg.append(zones, this.value, this.text);
    place.append(svg);
  }

  /** The targets as one zone, then from each limit to the next. @returns {[number, number, string][]} */
  zones() {
    const { thresholds } = this.panel;
    const [low, high] = thresholds.filter(({ kind }) => kind === 'target').map(({ value }) => value);
    const limits = thresholds.filter(({ kind }) => kind !== 'target');
    /** @type {[number, number, string][]} */
    const zones = limits.map(({ value, kind }, i) => [value, limits[i + 1]?.value ?? 1, kind]);
    return low === undefined || high === undefined ? zones : [[low, high, 'target'], ...zones];
  }

  /** @param {number | null} value */
  write(value) {
    this.value.setAttribute('d', value === null || value <= 0 ? '' : arc(0, value, RADIUS));
    this.value.setAttribute('data-state', judged(value, this.panel.thresholds).state);
    this.text.textContent = value === null ? '–' : formatValue(value, this.panel.unit);
  }
}
