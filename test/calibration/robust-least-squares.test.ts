import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Equation, robustLeastSquares, type Unknown } from '../../src/calibration/robust-least-squares.ts';

const UNKNOWNS: readonly Unknown[] = [
  { name: 'a', centre: 1, spread: 2, bounds: [0.05, 20] },
  { name: 'b', centre: 1, spread: 2, bounds: [0.05, 20] },
];

/** A figure that is 1 at the centres, and grows with a and b by these shares. */
function figure(a: number, b: number, gains: readonly [number, number], factor = 1, deviation = 0.01): Equation {
  const value = 1 + gains[0] * (a - 1) + gains[1] * (b - 1);
  return { difference: Math.log(value * factor), gains, deviation };
}

const GAINS: readonly (readonly [number, number])[] = [
  [0.5, 0.2],
  [0.3, 0.3],
  [0.1, 0.6],
  [0.7, 0.1],
  [0.2, 0.5],
  [0.4, 0.4],
];

describe('robustLeastSquares', () => {
  it('finds what sums of times were made of, far from the centres', () => {
    const value = fc.double({ min: 0.3, max: 4, noNaN: true });
    fc.assert(
      fc.property(value, value, (a, b) => {
        const solution = robustLeastSquares(
          UNKNOWNS,
          GAINS.map((gains) => figure(a, b, gains)),
        ).map(Math.exp);
        expect(Math.abs(Math.log(solution[0]! / a))).toBeLessThan(0.05);
        expect(Math.abs(Math.log(solution[1]! / b))).toBeLessThan(0.05);
      }),
      { numRuns: 30 },
    );
  });

  it('gives one figure that is off by half no say', () => {
    const clean = GAINS.map((gains) => figure(2, 1.5, gains));
    const spoilt = [...clean.slice(0, 5), figure(2, 1.5, GAINS[5]!, 0.5)];
    const [a, b] = robustLeastSquares(UNKNOWNS, spoilt).map(Math.exp);
    expect(a).toBeCloseTo(2, 1);
    expect(b).toBeCloseTo(1.5, 1);
  });

  it('stays at the centre where nothing measured speaks of an unknown', () => {
    const [, b] = robustLeastSquares(UNKNOWNS, [figure(2, 1, [0.5, 0])]).map(Math.exp);
    expect(b).toBeCloseTo(1, 6);
  });

  it('rests on the bounds of what it may be', () => {
    const bounded = UNKNOWNS.map((unknown) => ({ ...unknown, bounds: [0.9, 1.2] as const }));
    const [a, b] = robustLeastSquares(
      bounded,
      GAINS.map((gains) => figure(1.6, 0.8, gains, 1, 0.2)),
      // Wide enough that what the bounds leave over is no outlier.
    ).map(Math.exp);
    expect(a).toBeCloseTo(1.2, 9);
    expect(b).toBeGreaterThanOrEqual(0.9 - 1e-9);
    expect(b).toBeLessThan(1.2);
  });
});
