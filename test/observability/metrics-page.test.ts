import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attachMetricsPage, createMetricsPage, GatewayMetrics, renderMetrics } from '../../src/observability/index.ts';
import { MetricsSnapshot } from '../../src/observability/metrics-snapshot.ts';
import { RateWindow } from '../../src/observability/rate-window.ts';

describe('a metrics page', () => {
  it('is seen by whoever attaches its buffer', () => {
    const page = createMetricsPage();
    const other = attachMetricsPage(page.buffer);
    page.cells[page.cell('decode_tokens_total')] = 12;
    page.setInfo({ backend: 'simulator', model: 'Modell ü' });
    expect(other.cells[other.cell('decode_tokens_total')]).toBe(12);
    expect(other.getInfo()).toEqual({ backend: 'simulator', model: 'Modell ü' });
  });

  it('refuses a buffer of another catalogue, naming both sizes', () => {
    expect(() => attachMetricsPage(new SharedArrayBuffer(16))).toThrow(/16 bytes are not allowed; .* needs \d+/);
  });

  it('refuses labels that do not exist, naming those that do', () => {
    const page = createMetricsPage();
    expect(() => page.cell('scheduler_preemptions_total', 'mood')).toThrow(
      /\(mood\) are not allowed; allowed: \(memory_pressure\) \(priority\)/,
    );
    expect(() => page.cell('scheduler_preemptions_total')).toThrow(RangeError);
  });

  it('gives no two series the same cell', () => {
    const page = createMetricsPage();
    const cells = [
      page.cell('scheduler_preemptions_total', 'memory_pressure'),
      page.cell('scheduler_preemptions_total', 'priority'),
      page.cell('gpu_memory_allocated_bytes', '0', 'model'),
      page.cell('gpu_memory_allocated_bytes', '1', 'model'),
      page.cell('gpu_memory_allocated_bytes', '0', 'kv_cache'),
      page.cell('kv_cache_blocks_used'),
      page.hidden('iterations'),
    ];
    expect(new Set(cells).size).toBe(cells.length);
  });

  it('cuts an info that is too long from its end, and stays readable', () => {
    const page = createMetricsPage();
    page.setInfo({ backend: 'simulator', model: 'x'.repeat(5000) });
    expect(page.getInfo()).toEqual({ backend: 'simulator' });
  });

  it('is read although its writer stopped in the middle of a group', () => {
    const page = createMetricsPage();
    page.beginGroup();
    page.cells[page.cell('kv_cache_blocks_used')] = 3;
    const snapshot = new MetricsSnapshot();
    snapshot.take(page);
    expect(snapshot.value('kv_cache_blocks_used')).toBe(3);
  });

  it('is scraped while the thread that writes it hangs', async () => {
    const page = createMetricsPage();
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      new Float64Array(workerData.cells, workerData.offset)[workerData.at] = 77;
      parentPort.postMessage('hangs');
      for (;;);`;
    const { buffer, cells } = page;
    const at = page.cell('decode_tokens_total');
    const worker = new Worker(code, { eval: true, workerData: { cells: buffer, offset: cells.byteOffset, at } });
    try {
      await once(worker, 'message');
      const text = await renderMetrics(page, { openMetrics: false, vllmAliases: false });
      expect(text).toMatch(/^decode_tokens_total 77$/m);
    } finally {
      await worker.terminate();
    }
  });
});

describe('a histogram on a page', () => {
  it('counts each value in the first bucket that holds it, n-fold as n times', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.oneof(fc.double({ min: 0, max: 8, noNaN: true }), fc.constantFrom(0.001, 0.05, 5, 0)),
            fc.integer({ min: 1, max: 50 }),
          ),
          { maxLength: 40 },
        ),
        (observations) => {
          const page = createMetricsPage();
          const folded = page.histogram('scheduler_phase_latency_seconds', 'build_batch');
          const single = page.histogram('scheduler_phase_latency_seconds', 'admit_waiting');
          for (const [value, count] of observations) {
            folded.observe(value, count);
            for (let i = 0; i < count; i++) single.observe(value);
          }
          const snapshot = new MetricsSnapshot();
          snapshot.take(page);
          const total = observations.reduce((sum, [, count]) => sum + count, 0);
          expect(snapshot.count('scheduler_phase_latency_seconds')).toBe(2 * total);
          const bounds = [0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.05];
          const buckets = (at: number) => [...page.cells.slice(at, at + bounds.length + 1)];
          const expected = [...bounds, Number.POSITIVE_INFINITY].map((bound, i, all) =>
            observations.reduce(
              (sum, [value, count]) => sum + (value <= bound && (i === 0 || value > all[i - 1]!) ? count : 0),
              0,
            ),
          );
          expect(buckets(placeOf(page, 'build_batch'))).toEqual(expected);
          expect(buckets(placeOf(page, 'admit_waiting'))).toEqual(expected);
        },
      ),
    );
  });

  it('leaves out what is no number, and counts of nothing', () => {
    const page = createMetricsPage();
    const histogram = page.histogram('time_to_first_token_seconds');
    histogram.observe(Number.NaN);
    histogram.observe(1, 0);
    const snapshot = new MetricsSnapshot();
    snapshot.take(page);
    expect(snapshot.count('time_to_first_token_seconds')).toBe(0);
  });
});

/** First cell of a phase's histogram, found by what it does. */
function placeOf(page: ReturnType<typeof createMetricsPage>, phase: string): number {
  const probe = createMetricsPage();
  probe.histogram('scheduler_phase_latency_seconds', phase).observe(0);
  expect(page.cells.length).toBe(probe.cells.length);
  return probe.cells.findIndex((value, i) => value === 1 && i >= 5);
}

describe('a window of rates', () => {
  it('spans the window and no more, however often it is sampled', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 20, maxLength: 400 }), (gaps) => {
        const window = new RateWindow(10_000, 1, 16);
        let now = 0;
        const times = [0];
        window.add(0, Float64Array.of(0));
        for (const gap of gaps) {
          now += gap;
          times.push(now);
          window.add(now, Float64Array.of(2 * now));
          expect(window.growth(0)).toBe(2 * window.spanNs);
          // Its far end is a sample that was taken, at the window's edge or up to a gap and a spacing beyond it.
          expect(times).toContain(now - window.spanNs);
          expect(window.spanNs).toBeLessThanOrEqual(10_000 + 3000 + 2 * 625);
          if (now > 14_000) expect(window.spanNs).toBeGreaterThanOrEqual(10_000 - 2 * 625);
        }
      }),
    );
  });

  it('has grown by nothing before its second sample', () => {
    const window = new RateWindow(10, 1);
    expect([window.growth(0), window.spanNs]).toEqual([0, 0]);
    window.add(5, Float64Array.of(7));
    expect([window.growth(0), window.spanNs]).toEqual([0, 0]);
  });
});

describe("the gateway's series", () => {
  const outcomes = ['success', 'client_error', 'rejected', 'cancelled', 'server_error'];

  it('have one outcome for each request that ended', () => {
    const end = fc.constantFrom(
      'completed',
      'aborted',
      'rejected',
      'timeout',
      'error',
      'queue_full',
      'context_length_exceeded',
      'internal_error',
      'no_such_code',
      '503',
      '400',
    );
    fc.assert(
      fc.property(fc.array(end, { maxLength: 60 }), fc.nat(5), (ends, open) => {
        const page = createMetricsPage();
        const metrics = new GatewayMetrics(page);
        for (const how of ends) {
          metrics.received();
          if (how === 'completed' || how === 'aborted' || how === 'rejected' || how === 'timeout' || how === 'error') {
            metrics.ended(how, 'chat', 0.1);
          } else metrics.refused(how);
        }
        for (let i = 0; i < open; i++) metrics.received();
        const snapshot = new MetricsSnapshot();
        snapshot.take(page);
        expect(snapshot.sum('gateway_requests_total')).toBe(ends.length);
        expect(snapshot.value('gateway_active_requests')).toBe(open);
        expect(snapshot.sum('gateway_requests_refused_total') + snapshot.sum('gateway_calls_total')).toBe(ends.length);
      }),
    );
  });

  it.each([
    ['queue_full', 'rejected'],
    ['rate_limit_exceeded', 'rejected'],
    ['draining', 'rejected'],
    ['context_length_exceeded', 'client_error'],
    ['something_new', 'client_error'],
    ['internal_error', 'server_error'],
    ['500', 'server_error'],
  ])('count a refusal %s as %s', (code, outcome) => {
    const page = createMetricsPage();
    new GatewayMetrics(page).refused(code);
    const counts = outcomes.map((name) => page.cells[page.cell('gateway_requests_total', name)]);
    expect(counts).toEqual(outcomes.map((name) => (name === outcome ? 1 : 0)));
  });

  it('tell how long no step has ended, by the clock of the gateway alone', () => {
    const page = createMetricsPage();
    const metrics = new GatewayMetrics(page);
    const since = (nowMs: number) => {
      metrics.sample({
        nowMs,
        tokenizerQueue: 4,
        engineRestarts: 1,
        stalledMs: 0,
        eventLoopUtilization: 0.25,
        eventLoopActiveMs: 1500,
        process: {
          startedSeconds: 1.7e9,
          cpuSeconds: 12,
          residentBytes: 1e8,
          heapUsedBytes: 5e7,
          openFds: nowMs > 5000 ? null : 30,
          gcSeconds: 0.5,
          collections: { minor: 9, major: 2, incremental: 0, weakcb: 0 },
        },
      });
      const snapshot = new MetricsSnapshot();
      snapshot.take(page);
      return snapshot.value('scheduler_seconds_since_last_iteration');
    };
    expect(since(1000)).toBeNaN();
    page.cells[page.hidden('iterations')] = 5;
    expect(since(2000)).toBe(0);
    expect(since(9000)).toBe(7);
    page.cells[page.hidden('iterations')] = 6;
    expect(since(10_000)).toBe(0);
    expect(page.cells[page.cell('tokenizer_queue_size')]).toBe(4);
    expect(page.cells[page.cell('event_loop_active_seconds_total')]).toBe(1.5);
    expect(page.cells[page.cell('gateway_gc_runs_total', 'major')]).toBe(2);
    expect(page.cells[page.cell('process_open_fds')]).toBeNaN();
  });
});
