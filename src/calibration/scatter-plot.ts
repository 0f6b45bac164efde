import { escapeHtml } from '../simulation/report/escape-html.ts';

export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  /** Bounds of y; null = none. */
  readonly interval: { readonly low: number; readonly high: number } | null;
  /** Which of the page's series colours, from 0. */
  readonly series: number;
  readonly hollow: boolean;
  /** Shown when the pointer rests on it. */
  readonly label: string;
}

export interface ScatterPlot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Both axes logarithmic with one range, and the line of equality; else x logarithmic and y linear, with the line of zero. */
  readonly kind: 'equality' | 'error';
  readonly points: readonly ScatterPoint[];
}

const WIDTH = 520;
const HEIGHT = 360;
const LEFT = 62;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 44;

interface Axis {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** A plot as inline SVG: colours are the page's, the figures are in each point's title. */
export function scatterPlot(plot: ScatterPlot): string {
  const { kind, points } = plot;
  const xs = points.map((point) => point.x);
  const ys = points.flatMap(({ y, interval }) => [y, ...(interval === null ? [] : [interval.low, interval.high])]);
  const range = kind === 'equality' ? rangeOf([...xs, ...ys]) : rangeOf(xs);
  const x = logAxis(range, LEFT, WIDTH - RIGHT);
  const y = kind === 'equality' ? logAxis(range, HEIGHT - BOTTOM, TOP) : linearAxis(ys, HEIGHT - BOTTOM, TOP);
  const line =
    kind === 'equality'
      ? [x.at(range[0]), y.at(range[0]), x.at(range[1]), y.at(range[1])]
      : [LEFT, y.at(0), WIDTH - RIGHT, y.at(0)];
  const [x1, y1, x2, y2] = line.map(short);
  const format = kind === 'equality' ? tickText : (value: number) => `${Math.round(100 * value)} %`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(`${plot.title}: ${plot.yLabel} against ${plot.xLabel}`)}">
${x.ticks.map((tick) => `<line class="grid" x1="${short(x.at(tick))}" x2="${short(x.at(tick))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text class="tick" x="${short(x.at(tick))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${tickText(tick)}</text>`).join('')}
${y.ticks.map((tick) => `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${short(y.at(tick))}" y2="${short(y.at(tick))}"/><text class="tick" x="${LEFT - 6}" y="${short(y.at(tick) + 4)}" text-anchor="end">${format(tick)}</text>`).join('')}
<line class="truth" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>
${points.map((point) => mark(point, x, y)).join('\n')}
<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(plot.xLabel)}</text>
<text class="axis" x="14" y="${(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(TOP + HEIGHT - BOTTOM) / 2})">${escapeHtml(plot.yLabel)}</text>
</svg>`;
}

function mark(point: ScatterPoint, x: Axis, y: Axis): string {
  const { interval, series, hollow } = point;
  const at = short(x.at(point.x));
  const bar =
    interval === null
      ? ''
      : `<line class="interval" x1="${at}" x2="${at}" y1="${short(y.at(interval.low))}" y2="${short(y.at(interval.high))}"/>`;
  const shape = `<circle class="${hollow ? 'hollow' : 'full'}" cx="${at}" cy="${short(y.at(point.y))}" r="4.5"/>`;
  return `<g class="m${series}"><title>${escapeHtml(point.label)}</title>${bar}${shape}</g>`;
}

/** With a margin of a few per cent; of one value, too. */
function rangeOf(values: readonly number[]): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = Math.max(1.06, (high / low) ** 0.03);
  return [low / margin, high * margin];
}

function logAxis([low, high]: readonly [number, number], from: number, to: number): Axis {
  const at = (value: number) => from + ((to - from) * Math.log(value / low)) / Math.log(high / low);
  const ticks: number[] = [];
  for (const steps of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]]) {
    ticks.length = 0;
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
      for (const step of steps) {
        const tick = step * 10 ** decade;
        if (tick >= low && tick <= high) ticks.push(tick);
      }
    }
    if (ticks.length >= 4) break;
  }
  return { at, ticks };
}

function linearAxis(values: readonly number[], from: number, to: number): Axis {
  const low = Math.min(-0.05, ...values);
  const high = Math.max(0.05, ...values);
  const step = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5].find((each) => (high - low) / each <= 8) ?? 10;
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return { at: (value) => from + ((to - from) * (value / step - first)) / (last - first), ticks };
}

function tickText(value: number): string {
  return value >= 1000 ? `${value / 1000}k` : String(Number(value.toPrecision(3)));
}

function short(value: number): number {
  return Math.round(10 * value) / 10;
}
