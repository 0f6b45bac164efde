import type { PredictedMetric } from '../../backends/simulated/index.ts';
import type { PredictedFigure, PredictionSummary } from '../prediction-summary.ts';
import { durationText, numberText } from './quantities.ts';

const LABELS: readonly (readonly [PredictedMetric, string])[] = [
  ['ttftMean', 'TTFT mean'],
  ['ttftP50', 'TTFT p50'],
  ['ttftP90', 'TTFT p90'],
  ['ttftP99', 'TTFT p99'],
  ['tpotMean', 'TPOT, ITL mean'],
  ['e2eMean', 'E2E mean'],
  ['e2eP50', 'E2E p50'],
  ['e2eP99', 'E2E p99'],
  ['throughput', 'Requests/s'],
];

/** Name, figure, lower and upper bound of every headline figure that has an interval. */
export function predictionRows({ metrics }: PredictionSummary): (readonly [string, string, string, string])[] {
  if (metrics === null) return [];
  return LABELS.flatMap(([metric, label]) => {
    const figure = metrics[metric];
    if (figure === null || figure.low === null) return [];
    const { value, low, high } = figure as PredictedFigure & { low: number; high: number };
    const text = metric === 'throughput' ? numberText : durationText;
    return [[label, text(value), text(low), text(high)] as const];
  });
}

/** What the intervals are worth, in one sentence; empty when there are some from the run's own engine. */
export function predictionNote(prediction: PredictionSummary, host: string): string {
  if (prediction.reason !== null) return prediction.reason;
  if (prediction.basis === host) return '';
  return `intervals from measurements of ${prediction.basis}: they say what device and model are worth, not the host ${host}`;
}
