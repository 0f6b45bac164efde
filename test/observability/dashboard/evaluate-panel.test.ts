import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../src/observability/dashboard/evaluate-panel.ts';
import type { PanelExpression } from '../../../src/observability/dashboard/panel-expression.ts';
import { CELLS_TOTAL, cellOf, type MetricName, MetricsHistory, PLACES } from '../../../src/observability/index.ts';

type Cells = Readonly<Record<number, number>>;

/** A row per entry, `seconds` apart; null = the scrape failed. Cells keep their values until they change. */
function historyOf(rows: readonly (Cells | null)[], seconds = 1): MetricsHistory {
  const history = new MetricsHistory({ rowsMax: Number.POSITIVE_INFINITY, intervalSeconds: seconds });
  const cells = new Float64Array(CELLS_TOTAL);
  rows.forEach((row, i) => {
    for (const [cell, value] of Object.entries(row ?? {})) cells[Number(cell)] = value;
    if (row === null) history.addDown(i * seconds);
    else history.add(i * seconds, cells);
  });
  return history;
}

function last(history: MetricsHistory, expression: PanelExpression, windowSeconds: number, rows = 1): number {
  const end = history.length - 1;
  return evaluate(expression, { history, first: end - rows + 1, last: end }, windowSeconds);
}

const DECODE = cellOf('decode_tokens_total');
const decodeRate: PanelExpression = { kind: 'rate', of: [{ metric: 'decode_tokens_total' }], per: 'second' };

describe('a rate', () => {
  it('is the growth over the window, or over what there is of it', () => {
    const history = historyOf(Array.from({ length: 100 }, (_, i) => ({ [DECODE]: i < 50 ? 0 : (i - 50) * 10 })));
    expect(last(history, decodeRate, 30)).toBe(10);
    expect(last(history, decodeRate, 98)).toBeCloseTo(490 / 98, 9);
    expect(last(history, decodeRate, 1e6)).toBeCloseTo(490 / 99, 9);
  });

  it('is nothing before there is a second row', () => {
    expect(last(historyOf([{ [DECODE]: 7 }]), decodeRate, 30)).toBeNaN();
  });

  it('counts what came after a restart, and looks past a scrape that failed', () => {
    expect(last(historyOf([{ [DECODE]: 900 }, { [DECODE]: 20 }]), decodeRate, 30)).toBe(20);
    expect(last(historyOf([null, { [DECODE]: 5 }, { [DECODE]: 25 }]), decodeRate, 30)).toBe(20);
    expect(last(historyOf([{ [DECODE]: 5 }, null]), decodeRate, 30)).toBeNaN();
  });

  it('of a point that stands for more rows is over all of them', () => {
    const history = historyOf(Array.from({ length: 61 }, (_, i) => ({ [DECODE]: i === 60 ? 600 : 0 })));
    expect(last(history, decodeRate, 1)).toBe(600);
    expect(last(history, decodeRate, 1, 60)).toBe(10);
  });
});

describe('a ratio', () => {
  const hits: PanelExpression = {
    kind: 'ratio',
    of: [{ metric: 'prefix_cache_hit_total' }],
    to: [{ metric: 'prefix_cache_hit_total' }, { metric: 'prefix_cache_miss_total' }],
  };
  const hit = cellOf('prefix_cache_hit_total');
  const miss = cellOf('prefix_cache_miss_total');

  it('is of the window alone, and nothing where nothing was looked up', () => {
    expect(
      last(
        historyOf([
          { [hit]: 0, [miss]: 90 },
          { [hit]: 3, [miss]: 91 },
        ]),
        hits,
        60,
      ),
    ).toBe(0.75);
    expect(last(historyOf([{ [hit]: 5 }, { [hit]: 5 }]), hits, 60)).toBeNaN();
  });
});

describe('a quantile', () => {
  it('lies in the bucket that holds it, whatever was observed', () => {
    const name = 'time_to_first_token_seconds';
    const { at, definition } = PLACES.get(name)!;
    const bounds = definition.buckets!;
    const counts = fc.array(fc.nat(1000), { minLength: bounds.length + 1, maxLength: bounds.length + 1 });
    fc.assert(
      fc.property(counts, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (observed, q) => {
        const history = historyOf([{}, Object.fromEntries(observed.map((count, bucket) => [at + bucket, count]))]);
        const value = last(history, { kind: 'quantile', quantile: q, of: name }, 60);
        const total = observed.reduce((sum, count) => sum + count, 0);
        if (total === 0) return Number.isNaN(value);
        let below = 0;
        let bucket = 0;
        while (below + observed[bucket]! < q * total) below += observed[bucket++]!;
        if (bucket >= bounds.length) return value === bounds.at(-1);
        const lower = bucket === 0 ? 0 : bounds[bucket - 1]!;
        return value >= lower - 1e-12 && value <= bounds[bucket]! + 1e-12;
      }),
    );
  });
});

describe('gauges', () => {
  const gauge = (metric: MetricName): PanelExpression => ({ kind: 'gauge', of: { metric } });
  const waiting = cellOf('scheduler_waiting_queue_size');
  const compute = cellOf('gpu_compute_utilization', '0');

  it('of a point of several rows show the peak, utilizations the mean', () => {
    const history = historyOf([
      { [waiting]: 1, [compute]: 0 },
      { [waiting]: 9, [compute]: 100 },
      { [waiting]: 2, [compute]: 80 },
    ]);
    expect(last(history, gauge('scheduler_waiting_queue_size'), 0, 3)).toBe(9);
    expect(last(history, { ...gauge('gpu_compute_utilization'), of: GPU_0 } as PanelExpression, 0, 3)).toBe(60);
  });

  it('are nothing where there is no sample', () => {
    const history = historyOf([{ [compute]: Number.NaN }]);
    expect(last(history, { kind: 'gauge', of: GPU_0 }, 0)).toBeNaN();
  });
});

const GPU_0 = { metric: 'gpu_compute_utilization', where: { gpu_id: ['0'] } } as const;

describe('the engine', () => {
  const up: PanelExpression = { kind: 'up', stalledSecondsMax: 5 };
  const health = cellOf('gpu_health_status', '3');
  const stalled = cellOf('engine_stalled_seconds');
  const fine = Object.fromEntries(
    PLACES.get('gpu_health_status')!.series.map((_, i) => [cellOf('gpu_health_status', String(i)), 1]),
  );

  it.each([
    ['all is well', [fine], 1],
    ['a GPU has failed', [{ ...fine, [health]: 0 }], 0],
    ['requests are here and no step ends', [{ ...fine, [stalled]: 6 }], 0],
    ['nobody answers', [fine, null], 0],
  ] as const)('%s', (_what, rows, expected) => {
    expect(last(historyOf(rows), up, 0)).toBe(expected);
  });

  it('was down if it was so at any time that the point stands for', () => {
    const history = historyOf([fine, { [health]: 0 }, { [health]: 1 }]);
    expect(last(history, up, 0, 3)).toBe(0);
    expect(last(history, up, 0, 1)).toBe(1);
  });
});
