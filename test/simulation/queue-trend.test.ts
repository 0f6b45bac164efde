import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { queueTrend } from '../../src/simulation/queue-trend.ts';
import type { TimeSeries } from '../../src/simulation/time-series.ts';

function series(waiting: readonly number[], arrivals: readonly number[], bucketSeconds = 1): TimeSeries {
  return { waiting, arrivals, bucketSeconds, buckets: waiting.length } as unknown as TimeSeries;
}

const constant = (value: number, buckets: number) => Array.from({ length: buckets }, () => value);

describe('queueTrend', () => {
  it('tells how many requests a queue gains each second, while requests arrive', () => {
    // 2 of 10 a second stay; then 20 s in which what is left is served.
    const growing = Array.from({ length: 40 }, (_, i) => 2 * i);
    const waiting = [...growing, ...constant(0, 20)];
    const arrivals = [...constant(10, 40), ...constant(0, 20)];
    const trend = queueTrend(series(waiting, arrivals))!;
    expect(trend).toMatchObject({ growing: true, arrivalsPerSecond: 10 });
    expect(trend.growthPerSecond).toBeCloseTo(2, 9);
    expect(queueTrend(series(waiting, arrivals, 4))!.growthPerSecond).toBeCloseTo(0.5, 9);
  });

  it('is not growing where a burst was served, or where less than 2 % of what arrives stays', () => {
    const burst = [...constant(0, 10), ...constant(80, 10), ...constant(5, 20)];
    expect(queueTrend(series(burst, constant(10, 40)))!.growing).toBe(false);
    const slow = Array.from({ length: 40 }, (_, i) => 0.1 * i);
    expect(queueTrend(series(slow, constant(10, 40)))!.growing).toBe(false);
  });

  it('does not tell of a load that is too short', () => {
    expect(queueTrend(series(constant(9, 11), constant(9, 11)))).toBeNull();
    expect(queueTrend(series(constant(9, 30), [...constant(9, 11), ...constant(0, 19)]))).toBeNull();
  });

  it('never calls a queue that shrinks growing', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100), { minLength: 12, maxLength: 60 }), (steps) => {
        let queue = steps.reduce((a, b) => a + b, 0);
        const waiting = steps.map((step) => {
          queue -= step;
          return queue;
        });
        expect(queueTrend(series(waiting, constant(5, waiting.length)))!.growing).toBe(false);
      }),
    );
  });
});
