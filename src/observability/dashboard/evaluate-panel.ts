import type { HistogramName } from '../catalogue.ts';
import type { MetricsHistory } from '../metrics-history.ts';
import { cellOf, PLACES } from '../page-layout.ts';
import { cellsOf, type PanelExpression, type Selection } from './panel-expression.ts';

/** Rows of a history that a point stands for, and how far back its windows reach. */
export interface PanelPoint {
  readonly history: MetricsHistory;
  /** Rows first .. last; gauges show their peak (a utilization its mean) over them. */
  readonly first: number;
  readonly last: number;
}

/** Value of an expression at a point, over a window that ends there; NaN = nothing to say. */
export function evaluate(expression: PanelExpression, point: PanelPoint, windowSeconds: number): number {
  switch (expression.kind) {
    case 'gauge':
      return gauge(expression, point);
    case 'share':
      return peak(point, (row) => share(point.history, row, expression.of, expression.to));
    case 'rate': {
      const start = windowStart(point, windowSeconds);
      const seconds = point.history.timeSeconds(point.last) - point.history.timeSeconds(start);
      const per = expression.per === 'minute' ? 60 : 1;
      return seconds > 0 ? (per * growthOf(expression.of, point, start)) / seconds : Number.NaN;
    }
    case 'ratio': {
      const start = windowStart(point, windowSeconds);
      const to = growthOf(expression.to, point, start);
      return to > 0 ? growthOf(expression.of, point, start) / to : Number.NaN;
    }
    case 'quantile':
      return quantileOf(expression.of, expression.quantile, point, windowStart(point, windowSeconds));
    case 'mean':
      return meanOf(expression.of, point, windowStart(point, windowSeconds));
    case 'above':
      // NaN stays NaN.
      return Math.max(
        0,
        evaluate(expression.from, point, windowSeconds) - evaluate(expression.less, point, windowSeconds),
      );
    case 'first':
      for (const each of expression.of) {
        const value = evaluate(each, point, windowSeconds);
        if (!Number.isNaN(value)) return value;
      }
      return Number.NaN;
    case 'up':
      return up(point, expression.stalledSecondsMax);
  }
}

/** The newest row that the window has left behind, or the oldest there is. */
export function windowStart({ history, first, last }: PanelPoint, windowSeconds: number): number {
  // A point of several rows stands for all the time since the point before it.
  const start = Math.max(0, first - 1);
  const until = history.timeSeconds(last) - windowSeconds;
  if (history.timeSeconds(start) <= until) return known(history, start, last);
  let low = 0;
  let high = start;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (history.timeSeconds(middle) <= until) low = middle;
    else high = middle - 1;
  }
  return known(history, low, last);
}

/** The first row from `row` on that has samples; `last` if there is none before it. */
function known(history: MetricsHistory, row: number, last: number): number {
  let at = row;
  while (at < last && !history.up(at)) at++;
  return at;
}

/** Growth of a counter's cell; after a restart it began at 0 again. NaN where it is not known. */
function growth(history: MetricsHistory, from: number, to: number, cell: number): number {
  const end = history.value(to, cell);
  const begin = history.value(from, cell);
  return end < begin ? end : end - begin;
}

/** Of each bucket, infinity last. */
export function bucketGrowth(name: HistogramName, history: MetricsHistory, from: number, to: number): number[] {
  const { at, stride, series } = PLACES.get(name)!;
  const counts = new Array<number>(stride - 1).fill(0);
  for (let index = 0; index < series.length; index++) {
    for (let bucket = 0; bucket < counts.length; bucket++) {
      counts[bucket]! += growth(history, from, to, at + index * stride + bucket);
    }
  }
  return counts;
}

/** As Prometheus' histogram_quantile: linear within a bucket, the last finite boundary for what lies above it. */
function quantile(q: number, counts: readonly number[], bounds: readonly number[]): number {
  let total = 0;
  for (const count of counts) total += count;
  if (!(total > 0)) return Number.NaN;
  const rank = q * total;
  let below = 0;
  for (let bucket = 0; bucket < bounds.length; bucket++) {
    const count = counts[bucket]!;
    if (below + count >= rank && count > 0) {
      const lower = bucket === 0 ? 0 : bounds[bucket - 1]!;
      return lower + ((bounds[bucket]! - lower) * (rank - below)) / count;
    }
    below += count;
  }
  return bounds.at(-1)!;
}

function gauge({ of, aggregate = 'sum', scale = 1 }: Extract<PanelExpression, { kind: 'gauge' }>, point: PanelPoint) {
  const cells = cellsOf(of);
  const at = (row: number): number => {
    let count = 0;
    let sum = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const cell of cells) {
      const value = point.history.value(row, cell);
      if (Number.isNaN(value)) continue;
      count++;
      sum += value;
      least = Math.min(least, value);
    }
    if (count === 0) return Number.NaN;
    return scale * (aggregate === 'sum' ? sum : aggregate === 'mean' ? sum / count : least);
  };
  return PLACES.get(of.metric)!.definition.unit === 'percent' ? mean(point, at) : peak(point, at);
}

function peak({ first, last }: PanelPoint, at: (row: number) => number): number {
  let highest = Number.NaN;
  for (let row = first; row <= last; row++) {
    const value = at(row);
    if (!(value <= highest) && !Number.isNaN(value)) highest = value;
  }
  return highest;
}

function mean({ first, last }: PanelPoint, at: (row: number) => number): number {
  let count = 0;
  let sum = 0;
  for (let row = first; row <= last; row++) {
    const value = at(row);
    if (Number.isNaN(value)) continue;
    count++;
    sum += value;
  }
  return count === 0 ? Number.NaN : sum / count;
}

function share(history: MetricsHistory, row: number, of: Selection, to: Selection): number {
  const sum = (selection: Selection) => cellsOf(selection).reduce((total, cell) => total + history.value(row, cell), 0);
  const whole = sum(to);
  return whole > 0 ? sum(of) / whole : Number.NaN;
}

function growthOf(selections: readonly Selection[], { history, last }: PanelPoint, start: number): number {
  if (start === last) return Number.NaN;
  let sum = 0;
  for (const selection of selections) for (const cell of cellsOf(selection)) sum += growth(history, start, last, cell);
  return sum;
}

function quantileOf(name: HistogramName, q: number, { history, last }: PanelPoint, start: number): number {
  return quantile(q, bucketGrowth(name, history, start, last), PLACES.get(name)!.definition.buckets!);
}

function meanOf(name: HistogramName, { history, last }: PanelPoint, start: number): number {
  const counts = bucketGrowth(name, history, start, last);
  const { at, stride, series } = PLACES.get(name)!;
  let observations = 0;
  for (const count of counts) observations += count;
  let sum = 0;
  for (let index = 0; index < series.length; index++) {
    sum += growth(history, start, last, at + index * stride + stride - 1);
  }
  return observations > 0 ? sum / observations : Number.NaN;
}

const STALLED = cellOf('engine_stalled_seconds');
const HEALTH = cellsOf({ metric: 'gpu_health_status' });

/** Whatever went wrong within the point counts. */
function up({ history, first, last }: PanelPoint, stalledSecondsMax: number): number {
  for (let row = first; row <= last; row++) {
    if (!history.up(row)) return 0;
    if (history.value(row, STALLED) > stalledSecondsMax) return 0;
    if (HEALTH.some((cell) => history.value(row, cell) === 0)) return 0;
  }
  return 1;
}
