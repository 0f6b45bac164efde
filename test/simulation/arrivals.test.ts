import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrivalProcess, type OpenLoopArrivals } from '../../src/simulation/arrivals.ts';

function take(spec: OpenLoopArrivals, count: number, seed: number | string = 1): number[] {
  const process = arrivalProcess(spec, seed);
  return Array.from({ length: count }, () => process.nextNs());
}

function intervalStatistics(timesNs: readonly number[]): { mean: number; cv: number } {
  const intervals = timesNs.slice(1).map((time, i) => time - timesNs[i]!);
  const mean = intervals.reduce((sum, interval) => sum + interval, 0) / intervals.length;
  const variance = intervals.reduce((sum, interval) => sum + (interval - mean) ** 2, 0) / intervals.length;
  return { mean, cv: Math.sqrt(variance) / mean };
}

const rate = fc.double({ min: 0.01, max: 10_000, noNaN: true });
const anySpec: fc.Arbitrary<OpenLoopArrivals> = fc.oneof(
  fc.record({ kind: fc.constant('constant' as const), ratePerS: rate }),
  fc.record({ kind: fc.constant('poisson' as const), ratePerS: rate }),
  fc.record({ kind: fc.constant('gamma' as const), ratePerS: rate, cv: fc.double({ min: 0, max: 8, noNaN: true }) }),
  fc.record({
    kind: fc.constant('diurnal' as const),
    ratePerS: rate,
    amplitude: fc.double({ min: 0, max: 1, noNaN: true }),
    periodS: fc.double({ min: 1, max: 86_400, noNaN: true }),
    peakS: fc.double({ min: 0, max: 86_400, noNaN: true }),
  }),
  fc.record({
    kind: fc.constant('stages' as const),
    stages: fc.array(
      fc.record({ ratePerS: fc.integer({ min: 1, max: 50 }), durationS: fc.integer({ min: 1, max: 20 }) }),
      { minLength: 1, maxLength: 4 },
    ),
  }),
);

describe('arrivals', () => {
  it('are integers that never go back, and repeat from the seed', () => {
    fc.assert(
      fc.property(anySpec, fc.integer(), (spec, seed) => {
        const times = take(spec, 300, seed);
        times.forEach((time, i) => {
          expect(Number.isSafeInteger(time) || (time === Number.POSITIVE_INFINITY && spec.kind === 'stages')).toBe(
            true,
          );
          expect(time).toBeGreaterThanOrEqual(i === 0 ? 0 : times[i - 1]!);
        });
        expect(take(spec, 300, seed)).toEqual(times);
      }),
      { numRuns: 200 },
    );
  });

  it('differ between seeds', () => {
    expect(take({ kind: 'poisson', ratePerS: 5 }, 10, 1)).not.toEqual(take({ kind: 'poisson', ratePerS: 5 }, 10, 2));
  });

  it('constant: no drift from rounding', () => {
    const times = take({ kind: 'constant', ratePerS: 3 }, 3_000_001);
    expect(times[1]).toBe(333_333_333);
    expect(times[3_000_000]).toBe(1e15);
  });

  it.each([
    ['poisson', { kind: 'poisson', ratePerS: 8 }, 1],
    ['gamma cv 0.5', { kind: 'gamma', ratePerS: 8, cv: 0.5 }, 0.5],
    ['gamma cv 1', { kind: 'gamma', ratePerS: 8, cv: 1 }, 1],
    ['gamma cv 3', { kind: 'gamma', ratePerS: 8, cv: 3 }, 3],
    ['gamma cv 0', { kind: 'gamma', ratePerS: 8, cv: 0 }, 0],
  ] as [string, OpenLoopArrivals, number][])('%s: rate and variation are those asked for', (_, spec, cv) => {
    const statistics = intervalStatistics(take(spec, 200_000, 7));
    expect(Math.abs(statistics.mean / 125e6 - 1)).toBeLessThan(0.02);
    expect(Math.abs(statistics.cv - cv)).toBeLessThan(0.03 * Math.max(1, cv));
  });

  it('diurnal: the mean over a period, the peak and the trough are those asked for', () => {
    const spec = { kind: 'diurnal', ratePerS: 40, amplitude: 0.8, periodS: 1000, peakS: 250 } as const;
    const times = take(spec, 400_000, 3).map((time) => time / 1e9);
    const periods = Math.floor(times.at(-1)! / 1000);
    const count = (fromS: number, toS: number): number =>
      times.filter((time) => time < periods * 1000 && time % 1000 >= fromS && time % 1000 < toS).length;
    expect(count(0, 1000) / (periods * 1000) / 40).toBeCloseTo(1, 1);
    // Mean of the cosine over +-50 s of a 1000 s period: 0.9836.
    expect(count(200, 300) / (periods * 100) / 40 / (1 + 0.8 * 0.9836)).toBeCloseTo(1, 1);
    expect(count(700, 800) / (periods * 100) / 40 / (1 - 0.8 * 0.9836)).toBeCloseTo(1, 1);
  });

  it('stages: each is filled exactly, with exponential intervals', () => {
    const spec = {
      kind: 'stages',
      stages: [
        { ratePerS: 5, durationS: 600 },
        { ratePerS: 10, durationS: 600 },
      ],
    } as const;
    const process = arrivalProcess(spec, 11);
    expect(process.requestsTotal).toBe(9000);
    expect(process.durationNs).toBe(1200e9);
    const times = take(spec, 9001, 11);
    expect(times[2999]).toBe(600e9);
    expect(times[8999]).toBe(1200e9);
    expect(times[9000]).toBe(Number.POSITIVE_INFINITY);
    expect(Math.abs(intervalStatistics(times.slice(0, 3000)).cv - 1)).toBeLessThan(0.06);
    expect(Math.abs(intervalStatistics(times.slice(3000, 9000)).cv - 1)).toBeLessThan(0.06);
  });

  it('stages: one too short for a request is passed over in time', () => {
    const spec = {
      kind: 'stages',
      stages: [
        { ratePerS: 1, durationS: 0.5 },
        { ratePerS: 1, durationS: 1 },
      ],
    } as const;
    expect(take(spec, 2)).toEqual([1.5e9, Number.POSITIVE_INFINITY]);
  });

  it.each([
    [{ kind: 'poisson', ratePerS: 0 }, 'arrivals.ratePerS: 0 is not allowed; a finite number above 0'],
    [{ kind: 'constant', ratePerS: Number.NaN }, 'arrivals.ratePerS: NaN'],
    [{ kind: 'gamma', ratePerS: 1, cv: -1 }, 'arrivals.cv: -1 is not allowed; a number from 0 to 100'],
    [{ kind: 'diurnal', ratePerS: 1, amplitude: 1.1, periodS: 1, peakS: 0 }, 'arrivals.amplitude: 1.1'],
    [{ kind: 'stages', stages: [] }, 'arrivals.stages.length: 0'],
    [{ kind: 'stages', stages: [{ ratePerS: 1, durationS: -1 }] }, 'arrivals.stages[0].durationS: -1'],
  ] as [OpenLoopArrivals, string][])('%j is refused', (spec, message) => {
    expect(() => arrivalProcess(spec, 1)).toThrow(message);
  });
});
