import type { HistogramName } from '../catalogue.ts';
import type { MetricsHistory } from '../metrics-history.ts';
import { bucketGrowth, evaluate, windowStart } from './evaluate-panel.ts';
import type { PanelExpression } from './panel-expression.ts';
import { PANELS } from './panels.ts';
import { TILES } from './tiles.ts';

/** All values of the page at one time. Short names: a page holds a thousand of them. */
export interface DashboardFrame {
  /** Seconds: since 1970 live, since the run began in a simulation. */
  readonly t: number;
  /** Tiles, then the series of all panels, in the order of `FRAME_VALUES`; null = nothing to say. */
  readonly v: readonly (number | null)[];
  /** Heat-map: bucket, observations, bucket, observations, ... of the buckets that have any. */
  readonly h: readonly number[];
}

/** What the heat-map shows. */
export const HEATMAP_METRIC: HistogramName = 'time_to_first_token_seconds';
const HEATMAP_SECONDS = PANELS.find(({ kind }) => kind === 'heatmap')!.windowSeconds;

interface FrameValue {
  readonly expression: PanelExpression;
  readonly windowSeconds: number;
}

/** What the values of a frame are, in order. */
const FRAME_VALUES: readonly FrameValue[] = [
  ...TILES.map(({ expression, windowSeconds }) => ({ expression, windowSeconds })),
  ...PANELS.flatMap(({ series, kind, windowSeconds }) =>
    // The quantile over a heat-map is that of the tile: over so short a window it would jump.
    series.map(({ expression }) => ({ expression, windowSeconds: kind === 'heatmap' ? 300 : windowSeconds })),
  ),
];

/** The frame of the last row, which stands for itself alone: live. */
export function lastFrame(history: MetricsHistory): DashboardFrame {
  return frameOf(history, history.length - 1, history.length - 1);
}

/** At most `framesMax` frames of a whole history: each stands for an equal number of rows, the last one perhaps for fewer. */
export function framesOf(history: MetricsHistory, framesMax: number): DashboardFrame[] {
  const rows = Math.ceil(history.length / framesMax);
  const frames: DashboardFrame[] = [];
  for (let first = 0; first < history.length; first += rows) {
    frames.push(frameOf(history, first, Math.min(first + rows, history.length) - 1));
  }
  return frames;
}

/** Tiles of a whole history: percentiles and rates over all of it, gauges at their peak, utilizations as their mean. */
export function wholeRun(history: MetricsHistory): readonly (number | null)[] {
  return frameOf(history, 0, history.length - 1).v.slice(0, TILES.length);
}

function frameOf(history: MetricsHistory, first: number, last: number): DashboardFrame {
  const point = { history, first, last };
  const h: number[] = [];
  const start = windowStart(point, HEATMAP_SECONDS);
  if (start < last) {
    bucketGrowth(HEATMAP_METRIC, history, start, last).forEach((count, bucket) => {
      if (count > 0) h.push(bucket, count);
    });
  }
  return {
    t: rounded(history.timeSeconds(last), 14),
    v: FRAME_VALUES.map(({ expression, windowSeconds }) => {
      const value = evaluate(expression, point, windowSeconds);
      return Number.isFinite(value) ? rounded(value, 5) : null;
    }),
    h,
  };
}

/** Five digits are more than a chart shows. */
function rounded(value: number, digits: number): number {
  return Number(value.toPrecision(digits));
}
