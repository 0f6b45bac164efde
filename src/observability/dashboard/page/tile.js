// One figure with its verdict and the last minutes as a small line.

import { formatValue } from './format.js';
import { part } from './model.js';
import { colour, translucent } from './theme.js';
import { judged } from './thresholds.js';

/** In words, for those who do not see the colour. */
const VERDICTS = { none: '', good: '', off: 'off target', warn: 'warning', bad: 'critical' };

export class TileView {
  /** @param {import('./model.js').Tile} tile @param {number} column @param {import('./store.js').Store} store */
  constructor(tile, column, store) {
    this.tile = tile;
    this.column = column;
    this.store = store;
    this.article = part(document, `#tile-${tile.id}`);
    this.number = part(this.article, '.number');
    this.verdict = part(this.article, '.verdict');
    this.canvas = /** @type {HTMLCanvasElement} */ (part(this.article, '.spark'));
  }

  /** @param {number | null} value @param {boolean} whole of a run that is over */
  write(value, whole) {
    const { tile } = this;
    const { state, broken } = judged(value, tile.thresholds);
    this.article.dataset['state'] = state;
    this.number.textContent = value === null ? 'no traffic' : formatValue(value, tile.unit);
    if (whole && tile.unit === 'state' && value === 0) this.number.textContent = 'was down';
    this.number.classList.toggle('quiet', value === null);
    this.verdict.textContent = this.verdictText(state, broken);
  }

  /** @param {keyof typeof VERDICTS} state @param {import('./model.js').Threshold | null} broken */
  verdictText(state, broken) {
    const { unit, thresholds } = this.tile;
    if (unit === 'state') return state === 'bad' ? 'critical' : ' ';
    const limit = (/** @type {import('./model.js').Threshold} */ { comparison, value }) =>
      `${comparison === '>' ? 'above' : 'below'} ${formatValue(value, unit)}`;
    if (broken === null) {
      const targets = thresholds.filter(({ kind }) => kind === 'target');
      return (targets.length === 0 ? thresholds : targets).map((each) => `${each.kind} ${limit(each)}`).join(', ');
    }
    if (state === 'off') return `target ${limit(broken)}`;
    return `${VERDICTS[state]}: ${limit(broken)}`;
  }

  /** @param {import('./view.js').Range} range */
  draw({ min, max }) {
    const { canvas, store } = this;
    const ratio = devicePixelRatio;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext('2d');
    if (context === null) return;
    context.clearRect(0, 0, width, height);
    const column = store.columns[this.column] ?? [];
    const from = store.indexAt(min);
    const to = store.indexAt(max);
    let highest = 0;
    for (let at = from; at <= to; at++) highest = Math.max(highest, column[at] ?? 0);
    if (highest === 0) return;
    const path = new Path2D();
    const area = new Path2D();
    let begin = -1;
    let x = 0;
    const close = () => {
      if (begin < 0) return;
      area.lineTo(x, height);
      area.lineTo(begin, height);
      begin = -1;
    };
    for (let at = from; at <= to; at++) {
      const value = column[at] ?? null;
      if (value === null) {
        close();
        continue;
      }
      x = (((store.times[at] ?? 0) - min) / (max - min)) * width;
      const y = height - ratio - (value / highest) * (height - 3 * ratio);
      if (begin < 0) {
        begin = x;
        path.moveTo(x, y);
        area.moveTo(x, y);
      } else {
        path.lineTo(x, y);
        area.lineTo(x, y);
      }
    }
    close();
    context.fillStyle = translucent('spark', 0.14);
    context.fill(area);
    context.strokeStyle = colour('spark');
    context.lineWidth = 1.25 * ratio;
    context.stroke(path);
  }
}
