import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stepSpan } from '../../src/observability/spans/index.ts';
import type { StepRecord } from '../../src/observability/timeline/index.ts';
import { attributeFaults } from '../observability/spans/attribute-table.ts';
import { bodyOf, type CompletionBody, post } from '../support/http-calls.ts';
import { type OtlpSink, startOtlpSink } from '../support/otlp-sink.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

const OWN = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
const EXAMPLE = { prompt: Array.from({ length: 512 }, (_, i) => 65 + (i % 26)), max_tokens: 100, ignore_eos: true };

let sink: OtlpSink;
let server: TestServer | null = null;
beforeEach(async () => {
  sink = await startOtlpSink();
});
afterEach(async () => {
  await server?.close();
  server = null;
  await sink.close();
});

/** A server in real time that sends all traces to the sink. */
async function serve(): Promise<TestServer> {
  const sampling = { sampleRatio: 1, slowTtftMs: 300, userId: false, tokenIds: false };
  const tracing = { endpoint: sink.endpoint, protocol: 'http/json', queueSpansMax: 16_384, ...sampling } as const;
  server = await startTestServer({ timeScale: 1, tracing });
  return server;
}

/** Two requests in one trace, after whose end the server is closed. On a busy machine a second may be too short for them. */
async function tracedRequests(): Promise<{ submissions: number }> {
  for (let seconds = 1.5; ; seconds = Math.min(2 * seconds, 60)) {
    const at = await serve();
    let over = false;
    const tracing = fetch(`${at.url}/debug/trace?seconds=${seconds}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${at.adminKey}` },
    }).finally(() => {
      over = true;
    });
    await Promise.all([
      bodyOf<CompletionBody>(post(at, EXAMPLE)),
      bodyOf<CompletionBody>(post(at, { ...EXAMPLE, n: 2 })),
    ]);
    const whole = !over;
    const { otherData } = (await (await tracing).json()) as { otherData: { submissions: number } };
    await at.close();
    server = null;
    if (whole) return otherData;
    sink.spans.length = 0;
  }
}

describe('a step trace while traces are sent', () => {
  it('is also a root span for every step, with links to the requests in it', async () => {
    const otherData = await tracedRequests();
    const spans = [...sink.traces().values()].flat();
    const steps = spans.filter((span) => span.name === 'engine.step');
    expect(steps.length).toBe(otherData.submissions);
    for (const { name, attributes, parentSpanId } of steps) {
      expect([parentSpanId, attributeFaults(name, Object.keys(attributes))]).toEqual([null, []]);
    }
    const requests = new Map(
      spans.filter((span) => span.name === 'gateway.request').map((span) => [span.spanId, span.traceId]),
    );
    for (const step of steps) {
      expect(step.links.length).toBeGreaterThan(0);
      for (const link of step.links) expect(requests.get(link.spanId)).toBe(link.traceId);
      const [first] = step.links;
      const request = spans.find((span) => span.spanId === first!.spanId)!;
      expect(step.startNs).toBeGreaterThanOrEqual(request.startNs);
      expect(step.endNs).toBeLessThanOrEqual(request.endNs);
    }
    expect(Math.max(...steps.map((step) => step.links.length))).toBe(2);
    expect(new Set(steps.map((step) => step.traceId)).size).toBe(steps.length);
  });

  it('links at most 128 requests, and says how many had no room', () => {
    const rows = Array.from({ length: 200 }, (_, id) => ({
      id,
      index: 0,
      context: id,
      tokens: 1,
      prefilling: false,
      samples: true,
    }));
    const links = rows.map(({ id }) => ({ traceId: OWN.traceId, spanId: String(id).padStart(16, '0') }));
    const span = stepSpan({ ...STEP, decodeRows: 200, rows }, { startNs: 0, endNs: 1 }, OWN, links);
    expect([span.links!.length, span.linksDropped]).toEqual([128, 72]);
    expect(span.attributes).toMatchObject({ batch_size: 200, sequence_lengths: rows.map(({ id }) => id + 1) });
  });
});

const STEP: StepRecord = {
  kind: 'step',
  step: 7,
  stepsRun: 1,
  status: 'ok',
  plannedNs: 0,
  startNs: 0,
  endNs: 1,
  hostNs: 0,
  hostPhasesNs: { collect_finished: 0, allocate_running: 0, admit_waiting: 0, build_batch: 0 },
  decodeRows: 0,
  prefillRows: 0,
  decodeTokens: 0,
  prefillTokens: 0,
  newBlocks: 0,
  evictions: 0,
  running: 0,
  waiting: 0,
  swapped: 0,
  head: null,
  waitReason: null,
  blocksUsed: 0,
  blocksCached: 0,
  rows: [],
};
