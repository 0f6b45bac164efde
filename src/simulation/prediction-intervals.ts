import type { HostResidual, PredictedMetric, PredictionRegime } from '../backends/simulated/index.ts';

/** Share of the truths that an interval holds. */
const INTERVAL_COVERAGE = 0.9;
/** Fewer errors than this allow no interval: a tenth of them would be less than one. */
const RESIDUALS_MIN = 9;

/** Bounds of a figure. */
export interface PredictionInterval {
  readonly low: number;
  readonly high: number;
}

/**
 * Half-width of the 90 % interval of a figure, as a ratio h: the truth lies between prediction / (1 + h) and prediction * (1 + h). The 0.9 quantile of
 * the errors of held-out stages, each weighted by how like the regime of the prediction its own is (R. Tibshirani et al., "Conformal Prediction
 * Under Covariate Shift", 2019, without the correction for few errors: one outlier would be the width of everything), the median-unbiased one (R. Hyndman
 * and Y. Fan, The American Statistician 50, 1996, type 8) of as many errors as their weights are worth (L. Kish: square of the sum over sum of squares).
 * Only ratios of weights count, so a regime that nobody measured gets the errors of those least unlike it. null: too few errors.
 */
export function predictionHalfWidth(
  residuals: readonly HostResidual[],
  regime: PredictionRegime,
  metric: PredictedMetric,
): number | null {
  const known = residuals.filter((residual) => residual.errors[metric] !== undefined);
  if (known.length < RESIDUALS_MIN) return null;
  const distances = known.map((residual) => regimeDistance(residual, regime));
  const nearest = Math.min(...distances);
  const errors = known
    .map((residual, i) => ({
      // Symmetric in ratios: twice as much is as far off as half as much.
      size: Math.abs(Math.log1p(residual.errors[metric]!)),
      weight: Math.exp(nearest - distances[i]!),
    }))
    .sort((a, b) => a.size - b.size);
  const total = sum(errors.map(({ weight }) => weight));
  const effective = total ** 2 / sum(errors.map(({ weight }) => weight ** 2));
  // Errors lie at the middles of their weights; type 8 has rank p (n + 1/3) + 1/3, which is (2 p - 1) / 6 beyond p n + 1/2.
  const wanted = total * (INTERVAL_COVERAGE + (2 * INTERVAL_COVERAGE - 1) / (6 * effective));
  let reached = 0;
  let below = { size: 0, middle: 0 };
  for (const { size, weight } of errors) {
    const middle = reached + weight / 2;
    if (middle >= wanted) {
      const share = (wanted - below.middle) / (middle - below.middle);
      return Math.expm1(below.size + share * (size - below.size));
    }
    below = { size, middle };
    reached += weight;
  }
  return Math.expm1(below.size);
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
