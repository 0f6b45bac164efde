import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StepPlan, StepResult } from '../../src/core/index.ts';
import { type KvGauges, type TimeSeries, TimeSeriesBuilder } from '../../src/simulation/time-series.ts';

const SHAPE = { sequencesMax: 64, tokensPerStepMax: 64, draftTokensMax: 0, stepsMax: 64, tokenIds: false };
const GAUGES: KvGauges = { blocksTotal: 100, blocksUsed: () => 40, blocksCached: () => 25 };
const QUEUES = { waiting: 3, swapped: 1, blocksUsed: 40 };

function stepped(
  builder: TimeSeriesBuilder,
  startNs: number,
  durationsNs: readonly number[],
  rows = 4,
  prefillTokens = 0,
): number {
  const plan = new StepPlan(SHAPE);
  const result = new StepResult(SHAPE);
  plan.rows = rows;
  plan.decodeTokens = rows;
  plan.prefillTokens = prefillTokens;
  result.durationsNs.set(durationsNs);
  result.stepsRun = durationsNs.length;
  const endNs = durationsNs.reduce((sum, duration) => sum + duration, startNs);
  const gapMaxNs = Math.max(...durationsNs);
  builder.stepped(plan, result, startNs, endNs, rows, 0, gapMaxNs, QUEUES);
  return endNs;
}

const sum = (values: readonly (number | null)[]): number => values.reduce<number>((total, v) => total + (v ?? 0), 0);
const total = (series: TimeSeries, rate: readonly number[]): number => sum(rate) * series.bucketSeconds;

describe('TimeSeriesBuilder', () => {
  it('puts each event into the second in which it happened', () => {
    const builder = new TimeSeriesBuilder(GAUGES);
    builder.arrived(0);
    builder.arrived(999_999_999);
    builder.arrived(1e9);
    builder.evicted(7, 1.5e9);
    builder.preempted(2.5e9);
    builder.finished(2.9e9, 1.25e9, 0.25e9);
    const series = builder.build();
    expect(series).toMatchObject({
      bucketSeconds: 1,
      buckets: 3,
      arrivals: [2, 1, 0],
      evictions: [0, 7, 0],
      preemptions: [0, 0, 1],
      finishes: [0, 0, 1],
      ttftMeanSeconds: [null, 0.25, null],
      ttftMaxSeconds: [null, 0.25, null],
    });
  });

  it('counts a run that crosses seconds where each of its steps ends, as single steps do', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 2e9 }), { minLength: 1, maxLength: 20 }), { maxLength: 10 }),
        (runs) => {
          const whole = new TimeSeriesBuilder(GAUGES);
          const single = new TimeSeriesBuilder(GAUGES);
          let nowNs = 0;
          for (const run of runs) {
            for (let i = 0, atNs = nowNs; i < run.length; i++) atNs = stepped(single, atNs, [run[i]!]);
            nowNs = stepped(whole, nowNs, run);
          }
          expect(roundedSeries(whole.build())).toEqual(roundedSeries(single.build()));
        },
      ),
    );
  });

  it('shows what runs in every second of a long step', () => {
    const builder = new TimeSeriesBuilder(GAUGES);
    stepped(builder, 0.5e9, [3e9], 8, 1000);
    const series = builder.build();
    expect(series.running).toEqual([8, 8, 8, 8]);
    expect(series.waiting).toEqual([3, 3, 3, 3]);
    expect(series.blocksUsed).toEqual([40, 40, 40, 40]);
    expect(series.prefillTokensPerSecond).toEqual([0, 0, 0, 1000]);
    expect(series.itlMaxSeconds).toEqual([null, null, null, 3]);
  });

  it('keeps the number of cached blocks through seconds in which nothing happens', () => {
    const builder = new TimeSeriesBuilder(GAUGES);
    stepped(builder, 0, [1e6]);
    builder.arrived(5e9);
    expect(builder.build().blocksCached).toEqual([25, 25, 25, 25, 25, 25]);
    expect(builder.build().running).toEqual([4, 0, 0, 0, 0, 0]);
  });

  it('doubles its buckets without losing totals or peaks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(40_000), fc.nat(9)), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 1, max: 60 }),
        (events, rows) => {
          events.sort(([a], [b]) => a - b);
          const builder = new TimeSeriesBuilder(GAUGES);
          for (const [second, count] of events) {
            const nowNs = second * 1e9;
            builder.arrived(nowNs);
            builder.evicted(count, nowNs);
            stepped(builder, nowNs, [1e6, 1e6], rows, 3);
            builder.finished(nowNs + 2e6, nowNs + 1e6, 1e6 * (1 + count));
          }
          const series = builder.build();
          const last = events.at(-1)![0];
          expect(series.buckets).toBeLessThanOrEqual(1200);
          expect(Math.log2(series.bucketSeconds) % 1).toBe(0);
          expect(series.bucketSeconds).toBe(widthFor(last));
          expect(sum(series.arrivals)).toBe(events.length);
          expect(sum(series.finishes)).toBe(events.length);
          expect(sum(series.evictions)).toBe(events.reduce((all, [, count]) => all + count, 0));
          expect(total(series, series.prefillTokensPerSecond)).toBeCloseTo(3 * events.length, 6);
          expect(total(series, series.decodeTokensPerSecond)).toBeCloseTo(2 * rows * events.length, 6);
          expect(Math.max(...series.running)).toBe(rows);
          const longest = Math.max(...events.map(([, count]) => 1 + count));
          expect(Math.max(...series.ttftMaxSeconds.map((value) => value ?? 0))).toBeCloseTo(longest / 1000, 12);
        },
      ),
    );
  });

  it('has one empty second when nothing happened', () => {
    const series = new TimeSeriesBuilder(GAUGES).build();
    expect(series.buckets).toBe(1);
    expect(series.itlMeanSeconds).toEqual([null]);
  });
});

/** The smallest power of two with which second `last` falls into bucket 1,199 or before. */
function widthFor(last: number): number {
  let width = 1;
  while (Math.floor(last / width) >= 1200) width *= 2;
  return width;
}

/** Sums of the same numbers in another order may differ in the last bit. */
function roundedSeries(series: TimeSeries): unknown {
  return JSON.parse(JSON.stringify(series), (_, value) =>
    typeof value === 'number' ? Number(value.toPrecision(12)) : value,
  );
}
