import { describe, expect, it } from 'vitest';
import {
  heldOutErrors,
  type ValidatedStage,
  validationSummary,
  withIntervals,
  worstStages,
} from '../../src/calibration/serving-validation.ts';

const MS = { e2eMean: 100, e2eP99: 100, ttftMean: 100, ttftP90: 100, ttftP99: 100, tpotMean: 100 };

function stage(model: string, error: number | null, cold = false): ValidatedStage {
  return {
    run: 'run',
    model,
    hardware: 'H100',
    tensorParallel: 1,
    workload: 'test',
    stage: cold ? 0 : 1,
    ratePerSecond: 1,
    status: error === null ? 'saturated' : 'compared',
    reason: error === null ? 'the queue grows' : null,
    cold,
    regime: { load: 0.5, cold, tensorParallel: 1, family: 'dense', weightFormat: 'bf16', extrapolations: 0 },
    measuredMs: MS,
    predictedMs: error === null ? null : MS,
    errors:
      error === null
        ? null
        : { e2eMean: error, e2eP99: error, ttftMean: error, ttftP90: error, ttftP99: error, tpotMean: error },
    halfWidths: null,
  };
}

describe('validationSummary', () => {
  it('takes medians, means and the sign of errors over compared stages only', () => {
    const { e2eMean } = validationSummary([stage('a', -0.1), stage('a', 0.02), stage('b', -0.03), stage('b', null)]);
    expect(e2eMean).toMatchObject({ count: 3, medianAbsError: 0.03, bias: -0.03, coverage: null, halfWidth: null });
    expect(e2eMean.meanAbsError).toBeCloseTo(0.05, 12);
  });

  it('keeps the p99 of warm and cold stages apart', () => {
    const summary = validationSummary([stage('a', 0.01), stage('a', 0.3, true)]);
    expect(summary.ttftP99Warm).toMatchObject({ count: 1, medianAbsError: 0.01 });
    expect(summary.ttftP99Cold).toMatchObject({ count: 1, medianAbsError: 0.3 });
  });
});

describe('withIntervals', () => {
  const others = Array.from({ length: 10 }, (_, i) => stage('other', (i + 1) / 100));

  it('takes the width from other models alone', () => {
    const stages = [stage('own', 0.5), stage('own', 0.09), ...others];
    const banded = withIntervals(stages, heldOutErrors(stages));
    // Rank 0.9 (10 + 1/3) + 1/3 of 10 equal weights.
    expect(banded[0]!.halfWidths!.e2eMean).toBeCloseTo(1.09 * (1.1 / 1.09) ** (0.6 + 0.1 / 3) - 1, 10);
    expect(validationSummary(banded.slice(0, 2)).e2eMean.coverage).toBe(0.5);
  });

  it('gives none from fewer than nine errors', () => {
    const stages = [stage('own', 0.1), ...others.slice(0, 8)];
    expect(withIntervals(stages, heldOutErrors(stages))[0]!.halfWidths!.e2eMean).toBeNull();
  });

  it('is as wide upwards as downwards in ratios: half as much is as far off as twice as much', () => {
    const wide = Array.from({ length: 12 }, () => stage('other', 1));
    const [low, high, far] = withIntervals(
      [stage('own', -0.49), stage('own', 0.99), stage('own', -0.51), ...wide],
      [...heldOutErrors(wide)],
    );
    const inside = (each: ValidatedStage) => validationSummary([each]).e2eMean.coverage;
    expect([low!, high!, far!].map(inside)).toEqual([1, 1, 0]);
  });
});

describe('worstStages', () => {
  it('are those whose mean is farthest off as a ratio, with the mean that is', () => {
    const half = { ...stage('half', 0), errors: { ...stage('half', 0).errors!, ttftMean: -0.5 } };
    const worst = worstStages([stage('good', 0.01), stage('more', 0.6), half, stage('saturated', null)], 2);
    expect(worst.map(({ model, metric, error }) => [model, metric, error])).toEqual([
      ['half', 'ttftMean', -0.5],
      ['more', 'e2eMean', 0.6],
    ]);
  });
});
