import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostResidual, PredictionRegime } from '../../src/backends/simulated/index.ts';
import { predictionHalfWidth, predictionInterval } from '../../src/simulation/prediction-intervals.ts';

const REGIME: PredictionRegime = {
  load: 0.5,
  cold: false,
  tensorParallel: 1,
  family: 'dense',
  weightFormat: 'bf16',
  extrapolations: 0,
};

function residuals(errors: readonly number[], regime: Partial<PredictionRegime> = {}): HostResidual[] {
  return errors.map((ttftMean, i) => ({ ...REGIME, ...regime, model: `m${i}`, errors: { ttftMean } }));
}

const rising = (count: number, step: number) => Array.from({ length: count }, (_, i) => (i + 1) * step);

describe('predictionHalfWidth', () => {
  it('is the 0.9 quantile of the errors of the same regime, linear between them', () => {
    // Rank 0.9 (20 + 1/3) + 1/3 of 20 equal weights.
    const expected = 1.18 * (1.19 / 1.18) ** (0.6 + 0.1 / 3) - 1;
    expect(predictionHalfWidth(residuals(rising(20, 0.01)), REGIME, 'ttftMean')).toBeCloseTo(expected, 9);
    expect(predictionHalfWidth(residuals(rising(9, 0.01)), REGIME, 'ttftMean')).toBeGreaterThan(0.08);
  });

  it('counts half as much and twice as much as equally far off', () => {
    const halfWidth = predictionHalfWidth(residuals(Array.from({ length: 20 }, () => -0.5)), REGIME, 'ttftMean')!;
    expect(halfWidth).toBeCloseTo(1, 9);
    expect(predictionInterval(0.1, halfWidth)).toEqual({ low: 0.05, high: 0.2 });
  });

  it('is none from fewer than nine errors, or of a figure that nobody measured', () => {
    expect(predictionHalfWidth(residuals(rising(8, 0.01)), REGIME, 'ttftMean')).toBeNull();
    expect(predictionHalfWidth(residuals(rising(30, 0.01)), REGIME, 'throughput')).toBeNull();
  });

  it('takes the width of what is like it: loads with first-time prompts do not widen warm ones', () => {
    const both = [...residuals(rising(40, 0.001)), ...residuals(rising(40, 0.01), { cold: true })];
    const warm = predictionHalfWidth(both, REGIME, 'ttftMean')!;
    const cold = predictionHalfWidth(both, { ...REGIME, cold: true }, 'ttftMean')!;
    expect(warm).toBeLessThan(0.08);
    expect(cold).toBeGreaterThan(0.3);
  });

  it('of a regime that nobody measured is as wide as the errors of all', () => {
    const some = residuals(rising(20, 0.01));
    const far = { ...REGIME, load: 3, tensorParallel: 64, family: 'experts', weightFormat: 'fp8', cold: true } as const;
    expect(predictionHalfWidth(some, far, 'ttftMean')).toBeGreaterThanOrEqual(
      predictionHalfWidth(some, REGIME, 'ttftMean')!,
    );
  });

  it('holds nine tenths of errors that are drawn as those it is made of', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -0.4, max: 0.4, noNaN: true }), { minLength: 50, maxLength: 80 }),
        (errors) => {
          const inside = errors.filter((error, i) => {
            const others = residuals(errors.filter((_, other) => other !== i));
            const truth = 1 / (1 + error);
            const { low, high } = predictionInterval(1, predictionHalfWidth(others, REGIME, 'ttftMean')!);
            return truth >= low - 1e-9 && truth <= high + 1e-9;
          });
          // Leaving one out covers 0.9 of exchangeable errors, up to two in n: without the correction for few errors.
          expect(inside.length / errors.length).toBeGreaterThanOrEqual(0.9 - 2 / errors.length);
        },
      ),
      { numRuns: 20 },
    );
  });
});
