import fc from 'fast-check';
import { build } from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { LatencySeries } from '../../src/simulation/latency-series.ts';

const PERCENTILES = [0, 25, 50, 90, 95, 99, 100];

/** numpy.percentile(np.repeat(values, weights), p, method='linear'), by the book. */
function brutePercentile(entries: readonly (readonly [number, number])[], percentile: number): number {
  const all = entries.flatMap(([value, weight]) => Array<number>(weight).fill(value)).sort((a, b) => a - b);
  const rank = (percentile / 100) * (all.length - 1);
  const low = all[Math.floor(rank)]!;
  const high = all[Math.ceil(rank)]!;
  return low + (high - low) * (rank - Math.floor(rank));
}

const entries = fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 9 })), {
  minLength: 1,
  maxLength: 60,
});

describe('LatencySeries', () => {
  it('gives the percentiles, mean and maximum of the values repeated by weight', () => {
    fc.assert(
      fc.property(entries, (list) => {
        const series = new LatencySeries();
        for (const [value, weight] of list) series.observe(value, weight);
        const got = series.percentiles(PERCENTILES);
        PERCENTILES.forEach((percentile, i) => {
          expect(got[i]).toBeCloseTo(brutePercentile(list, percentile), 9);
        });
        const count = list.reduce((sum, [, weight]) => sum + weight, 0);
        const sum = list.reduce((total, [value, weight]) => total + value * weight, 0);
        expect(series.count).toBe(count);
        expect(series.summary().mean).toBeCloseTo(sum / count, 9);
        expect(series.summary().max).toBe(Math.max(...list.map(([value]) => value)));
      }),
    );
  });

  it('gives what numpy gives for values of weight one', () => {
    const series = new LatencySeries();
    for (const value of [15, 20, 35, 40, 50]) series.observe(value, 1);
    // numpy.percentile([15, 20, 35, 40, 50], [40, 90]) = [29., 46.]
    expect(series.percentiles([40, 90])).toEqual([29, 46]);
  });

  it('says the same for a run as for its single steps, the first longer by the lead', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 1e7 }), { minLength: 1, maxLength: 20 }), { maxLength: 40 }),
        fc.nat(1000),
        fc.nat(5),
        (runs, lead, weight) => {
          const whole = new LatencySeries(64);
          const single = new LatencySeries(64);
          for (const run of runs) {
            const largest = whole.observeRun(Float64Array.from(run), run.length, lead, weight);
            expect(largest).toBe(Math.max(run[0]! + lead, ...run.slice(1)));
            run.forEach((value, i) => {
              single.observe(i === 0 ? value + lead : value, weight);
            });
          }
          expect(whole.summary()).toEqual(single.summary());
          expect(whole.count).toBe(single.count);
        },
      ),
    );
  });

  it('stays exact up to the limit and is within 0.1 % above it', () => {
    const values = Array.from({ length: 30_000 }, (_, i) => 1e6 + ((i * 7919) % 30_000) * 997);
    const exact = new LatencySeries(30_000);
    const spilt = new LatencySeries(29_999);
    for (const value of values) {
      exact.observe(value, 1);
      spilt.observe(value, 1);
    }
    expect(exact.exact).toBe(true);
    expect(spilt.exact).toBe(false);
    const sorted = [...values].sort((a, b) => a - b);
    expect(exact.percentiles([50])).toEqual([(sorted[14_999]! + sorted[15_000]!) / 2]);
    const nearest = [50, 90, 95, 99].map((p) => sorted[Math.ceil((p / 100) * sorted.length) - 1]!);
    spilt.percentiles([50, 90, 95, 99]).forEach((value, i) => {
      expect(value).toBeGreaterThanOrEqual(nearest[i]!);
      expect(value).toBeLessThanOrEqual(nearest[i]! * 1.001);
    });
    expect(spilt.summary().mean).toBe(exact.summary().mean);
    expect(spilt.summary().max).toBe(exact.summary().max);
  });

  it('holds equal neighbours as one entry, of any weight', () => {
    const series = new LatencySeries();
    for (let i = 0; i < 300; i++) series.observe(7, 2 ** 29);
    expect(series.exact).toBe(true);
    expect(series.count).toBe(300 * 2 ** 29);
    expect(series.summary()).toEqual({ mean: 7, p50: 7, p90: 7, p95: 7, p99: 7, max: 7 });
  });

  it('above the limit it is the HDR histogram of all samples', () => {
    const value = fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 2 ** 40 }));
    fc.assert(
      fc.property(fc.array(fc.tuple(value, fc.integer({ min: 1, max: 1000 })), { minLength: 1 }), (list) => {
        const series = new LatencySeries(0);
        const histogram = build({
          bitBucketSize: 64,
          highestTrackableValue: 2 ** 42,
          numberOfSignificantValueDigits: 3,
        });
        for (const [sample, weight] of list) {
          series.observe(sample, weight);
          histogram.recordValueWithCount(sample, weight);
        }
        const max = Math.max(...list.map(([sample]) => sample));
        for (const percentile of [1, 50, 90, 99, 100]) {
          const expected = Math.min(histogram.getValueAtPercentile(percentile), max);
          expect(series.percentiles([percentile])[0]).toBe(expected);
        }
      }),
    );
  });

  it('takes runs longer than what it holds at first', () => {
    const run = Float64Array.from({ length: 20_000 }, (_, i) => i + 1);
    for (const weight of [1, 100]) {
      const series = new LatencySeries();
      series.observe(1, weight);
      series.observeRun(run, run.length, 0, weight);
      series.observeRun(run, run.length, 0, weight);
      expect(series.count).toBe(weight * 40_001);
      if (weight === 1) expect(series.exact).toBe(true);
      expect(series.summary().max).toBe(20_000);
    }
  });

  it('may be read in the middle and goes on', () => {
    const series = new LatencySeries(10);
    for (let i = 0; i < 20; i++) series.observe(i, 1);
    const before = series.summary();
    expect(series.summary()).toEqual(before);
    series.observe(1000, 1);
    expect(series.count).toBe(21);
    expect(series.summary().max).toBe(1000);
  });

  it('says null when it has seen nothing', () => {
    const series = new LatencySeries();
    series.observe(5, 0);
    series.observeRun(Float64Array.of(1, 2), 2, 0, 0);
    expect(series.count).toBe(0);
    expect(series.summary()).toEqual({ mean: null, p50: null, p90: null, p95: null, p99: null, max: null });
  });
});
