import type { HostResidual, PredictedMetric, PredictionRegime } from '../backends/simulated/index.ts';

/** Share of the truths that an interval holds. */
const INTERVAL_COVERAGE = 0.9;
/** Fewer errors than this allow no interval: ceil(0.9 (n + 1)) must not exceed n. */
const RESIDUALS_MIN = 9;

/** Bounds of a figure. */
export interface PredictionInterval {
  readonly low: number;
  readonly high: number;
}

/**
 * Half-width of the 90 % interval of a figure, as a ratio h: the truth lies between prediction / (1 + h) and prediction * (1 + h). Weighted split
 * conformal prediction (R. Tibshirani et al., "Conformal Prediction Under Covariate Shift", 2019): errors of held-out stages count by how like
 * the regime of the prediction theirs is, the prediction itself counts as one more that may be off by anything. The weights are made flatter until
 * enough of them are left, so that a regime nobody measured gets the errors of all. null: too few errors.
 */
export function predictionHalfWidth(
  residuals: readonly HostResidual[],
  regime: PredictionRegime,
  metric: PredictedMetric,
): number | null {
  const errors = residuals
    .filter((residual) => residual.errors[metric] !== undefined)
    .map((residual) => ({
      // Symmetric in ratios: twice as much is as far off as half as much.
      size: Math.exp(Math.abs(Math.log1p(residual.errors[metric]!))) - 1,
      distance: regimeDistance(residual, regime),
    }))
    .sort((a, b) => a.size - b.size);
  if (errors.length < RESIDUALS_MIN) return null;
  for (let width = 1; ; width *= 1.5) {
    const weights = errors.map(({ distance }) => Math.exp(-distance / width));
    const needed = INTERVAL_COVERAGE * (sum(weights) + 1);
    let reached = 0;
    for (const [index, { size }] of errors.entries()) {
      reached += weights[index]!;
      // A hair's breadth for the rounding of the sums.
      if (reached >= needed - 1e-9) return size;
    }
  }
}

export function predictionInterval(value: number, halfWidth: number): PredictionInterval {
  return { low: value / (1 + halfWidth), high: value * (1 + halfWidth) };
}

/** How unlike two regimes are; 1 makes an error count for e times less. First-time prompts matter most: they alone meet compilers and caches. */
function regimeDistance(a: PredictionRegime, b: PredictionRegime): number {
  return (
    (a.cold === b.cold ? 0 : 3) +
    (a.family === b.family ? 0 : 1) +
    (a.weightFormat === b.weightFormat ? 0 : 0.5) +
    Math.abs(Math.log2(a.tensorParallel / b.tensorParallel)) / 4 +
    2 * Math.abs(Math.min(a.load, 1) - Math.min(b.load, 1)) +
    Math.abs(Math.min(a.extrapolations, 3) - Math.min(b.extrapolations, 3)) / 4
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
