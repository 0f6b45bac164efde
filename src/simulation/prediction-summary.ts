import {
  type HostResidual,
  PREDICTED_METRICS,
  type PredictedMetric,
  type PredictionRegime,
} from '../backends/simulated/index.ts';
import type { CapacitySummary } from './capacity-summary.ts';
import { predictionHalfWidth, predictionInterval } from './prediction-intervals.ts';
import type { RunSummary } from './run-summary.ts';

/** What the run says of a real server, and how sure that is. */
export interface PredictionSummary {
  /** Why there are no figures, or no intervals; null = there are. */
  readonly reason: string | null;
  /** The engine whose measurements the intervals are from: those of another say what device and model are worth, not its own host. */
  readonly basis: string | null;
  readonly regime: PredictionRegime | null;
  /** Seconds; `throughput` is requests per second. null where the run has no figure; without an interval `low` and `high` are null. */
  readonly metrics: Readonly<Record<PredictedMetric, PredictedFigure | null>> | null;
}

export interface PredictedFigure {
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
}

/** Of the model and the device, as far as the error of a prediction depends on them. */
export type ModelRegime = Omit<PredictionRegime, 'load' | 'cold'>;

/** Errors of held-out stages, and the engine that they were measured on. */
export interface ResidualBasis {
  readonly engine: string;
  readonly residuals: readonly HostResidual[];
}

/**
 * Headline figures with 90 % intervals from the errors of held-out stages. `cold`: prompts that nobody
 * had sent before are among the requests. `basis`: null on a roofline, which was compared with nothing. Past
 * saturation there are none: latencies there grow with the length of the load.
 */
export function predictionSummary(
  summary: Pick<RunSummary, 'latencySeconds' | 'throughput'>,
  capacity: CapacitySummary,
  cold: boolean,
  model: ModelRegime,
  basis: ResidualBasis | null,
): PredictionSummary {
  if (capacity.saturated === true) {
    return { reason: 'saturated: latencies grow as long as the load lasts', basis: null, regime: null, metrics: null };
  }
  const regime = { ...model, load: capacity.load ?? 0.5, cold };
  let found = false;
  const metrics = Object.fromEntries(
    PREDICTED_METRICS.map((metric) => {
      const value = figureOf(summary, metric);
      if (value === null) return [metric, null];
      const halfWidth = basis === null ? null : halfWidthOf(basis.residuals, regime, metric);
      if (halfWidth === null) return [metric, { value, low: null, high: null }];
      found = true;
      return [metric, { value, ...predictionInterval(value, halfWidth) }];
    }),
  ) as Record<PredictedMetric, PredictedFigure | null>;
  return { reason: found ? null : noInterval(basis), basis: found ? basis!.engine : null, regime, metrics };
}

/**
 * A figure that too few stages were measured for takes the errors of one that is no better known: a median those of the mean, the throughput
 * those of E2E, of which a closed loop's is the inverse (an open loop's is what arrives).
 */
const STANDS_IN: Readonly<Partial<Record<PredictedMetric, PredictedMetric>>> = {
  ttftP50: 'ttftMean',
  e2eP50: 'e2eMean',
  throughput: 'e2eMean',
};

function halfWidthOf(
  residuals: readonly HostResidual[],
  regime: PredictionRegime,
  metric: PredictedMetric,
): number | null {
  const standIn = STANDS_IN[metric];
  const own = predictionHalfWidth(residuals, regime, metric);
  return own === null && standIn !== undefined ? predictionHalfWidth(residuals, regime, standIn) : own;
}

function noInterval(basis: ResidualBasis | null): string {
  return basis === null
    ? 'no intervals: the roofline model was compared with no measurements'
    : 'no intervals: the host profile has too few errors of held-out stages';
}

function figureOf(
  { latencySeconds: { ttft, tpot, e2e }, throughput }: Pick<RunSummary, 'latencySeconds' | 'throughput'>,
  metric: PredictedMetric,
): number | null {
  switch (metric) {
    case 'ttftMean':
      return ttft.mean;
    case 'ttftP50':
      return ttft.p50;
    case 'ttftP90':
      return ttft.p90;
    case 'ttftP99':
      return ttft.p99;
    case 'tpotMean':
      return tpot.mean;
    case 'e2eMean':
      return e2e.mean;
    case 'e2eP50':
      return e2e.p50;
    case 'e2eP99':
      return e2e.p99;
    case 'throughput':
      return throughput.requestsPerSecond;
  }
}
