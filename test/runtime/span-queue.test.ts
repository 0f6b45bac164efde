import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Guard } from '../../src/gateway/guard.ts';
import { createMetricsPage } from '../../src/observability/index.ts';
import { type Span, TraceMetrics } from '../../src/observability/spans/index.ts';
import { SpanQueue } from '../../src/runtime/tracing/span-queue.ts';

/** A trace of so many spans. */
function trace(id: number, spans: number): Span[] {
  return Array.from({ length: spans }, (_, i) => ({
    name: i === 0 ? 'gateway.request' : 'engine.process',
    kind: i === 0 ? 'server' : 'internal',
    traceId: String(id),
    spanId: `${id}-${i}`,
    parentSpanId: null,
    parentIsRemote: false,
    startNs: 0,
    endNs: 1,
    attributes: {},
    failed: false,
  }));
}

describe('the queue of spans before the collector', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('counts every span once, as sent or as lost, and sends traces whole, whatever the collector does', async () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant('trace' as const), spans: fc.integer({ min: 1, max: 300 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('answer' as const), well: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const page = createMetricsPage();
        const out: ((error: string | null) => void)[] = [];
        const arrived: Span[][] = [];
        const queue = new SpanQueue({
          guard: new Guard(() => {}),
          exporter: {
            export(spans, done) {
              out.push((error) => {
                if (error === null) arrived.push([...spans]);
                done(error);
              });
            },
            close: async () => {},
          },
          spansMax: 1500,
          metrics: new TraceMetrics(page),
          onFailure: () => {},
        });
        let taken = 0;
        for (const [index, each] of steps.entries()) {
          if (each.kind === 'trace') {
            queue.take(trace(index, each.spans));
            taken += each.spans;
          } else if (each.kind === 'answer') out.shift()?.(each.well ? null : 'no');
          else vi.advanceTimersByTime(1000);
        }
        const closed = queue.close(1000);
        for (let done = out.shift(); done !== undefined; done = out.shift()) done(null);
        await closed;
        const count = (name: 'tracing_spans_exported_total') => page.cells[page.cell(name)]!;
        const dropped = (reason: string) => page.cells[page.cell('tracing_spans_dropped_total', reason)]!;
        const sent = arrived.flat();
        expect(count('tracing_spans_exported_total')).toBe(sent.length);
        expect(sent.length + dropped('queue_full') + dropped('export_failed')).toBe(taken);
        for (const batch of arrived) {
          const sizes = new Map<string, number>();
          for (const span of batch) sizes.set(span.traceId, (sizes.get(span.traceId) ?? 0) + 1);
          for (const [id, size] of sizes) {
            const made = steps[Number(id)]!;
            expect(made).toEqual({ kind: 'trace', spans: size });
          }
        }
      }),
    );
  });

  it('gives up on a collector that never answers, and says what was lost', async () => {
    const page = createMetricsPage();
    const exporter = { export: () => {}, close: () => new Promise<void>(() => {}) };
    const metrics = new TraceMetrics(page);
    const queue = new SpanQueue({ guard: new Guard(() => {}), exporter, spansMax: 1000, metrics, onFailure: () => {} });
    queue.take(trace(1, 10));
    const closed = queue.close(500);
    await vi.advanceTimersByTimeAsync(1100);
    await closed;
    expect(page.cells[page.cell('tracing_spans_dropped_total', 'export_failed')]).toBe(10);
  });
});
