import { Agent, request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TracingConfig } from '../../src/config/serve-config.ts';
import { epochSeconds } from '../../src/runtime/system-clock.ts';
import { attributeFaults, SPAN_PARENTS } from '../observability/spans/attribute-table.ts';
import { ENDLESS_TOKENS } from '../support/http-calls.ts';
import { type OtlpSink, type ReceivedSpan, startOtlpSink } from '../support/otlp-sink.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';
import { eventually } from '../support/until.ts';

const PARENT = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
/** By which two clocks of one machine may differ. */
const CLOCK_SECONDS = 60;
const SECRET = 'the quick brown fox is a secret';

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

function tracing(more: Partial<TracingConfig> = {}): TracingConfig {
  return {
    endpoint: sink.endpoint,
    protocol: 'http/json',
    sampleRatio: 1,
    // None is slow, also on a busy machine.
    slowTtftMs: 3_600_000,
    userId: false,
    tokenIds: false,
    queueSpansMax: 16_384,
    ...more,
  };
}

async function serve(more: Partial<TracingConfig> = {}, overrides: TestServerOverrides = {}): Promise<TestServer> {
  server = await startTestServer({ ...overrides, tracing: tracing(more) });
  return server;
}

function call(body: object, headers: Record<string, string> = {}, path = '/v1/completions'): Promise<Response> {
  return fetch(`${server!.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server!.key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

const EXAMPLE = { prompt: Array.from({ length: 512 }, (_, i) => 65 + (i % 26)), max_tokens: 100, ignore_eos: true };

/** Closing the server sends what waits. */
async function closed(): Promise<Map<string, ReceivedSpan[]>> {
  await server!.close();
  server = null;
  return sink.traces();
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${server!.url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
}

function expectTree(spans: readonly ReceivedSpan[]): void {
  const byId = new Map(spans.map((each) => [each.spanId, each]));
  expect(byId.size).toBe(spans.length);
  for (const span of spans) {
    expect(attributeFaults(span.name, Object.keys(span.attributes))).toEqual([]);
    expect(span.endNs).toBeGreaterThanOrEqual(span.startNs);
    const parent = byId.get(span.parentSpanId ?? '');
    const expected = SPAN_PARENTS[span.name as keyof typeof SPAN_PARENTS];
    expect(parent?.name ?? null).toBe(expected);
    if (parent !== undefined) expect(span.startNs).toBeGreaterThanOrEqual(parent.startNs);
  }
}

describe("the specification's example on a live server", () => {
  it.each([true, false])('stream %s: ten spans of one trace, with its attributes', async (stream) => {
    const startSeconds = epochSeconds();
    await serve();
    const response = await call({ ...EXAMPLE, stream, temperature: 0.7, top_p: 0.9 });
    await response.text();
    const traces = await closed();
    expect(traces.size).toBe(1);
    const [spans] = traces.values();
    expectTree(spans!);
    const count = (name: string) => spans!.filter((each) => each.name === name).length;
    expect([count('gateway.request'), count('engine.process'), count('scheduler.enqueue')]).toEqual([1, 1, 1]);
    expect([count('memory.allocate'), count('executor.forward')]).toEqual([1, 2]);
    expect([count('gpu.compute'), count('sampler.sample')]).toEqual([2, 2]);
    const top = spans!.find((each) => each.name === 'gateway.request')!;
    expect(top.kind).toBe(2);
    expect(top.schemaUrl).toBe('https://opentelemetry.io/schemas/gen-ai/1.42.0');
    expect(top.resource).toMatchObject({ 'service.name': 'twinfer', 'twinfer.backend': 'simulated' });
    expect(top.attributes).toMatchObject({
      model: 'twin',
      prompt_tokens: 512,
      output_tokens: 100,
      max_tokens: 100,
      status: 'success',
      'http.request.method': 'POST',
      'http.route': '/v1/completions',
      'http.response.status_code': 200,
      'gen_ai.operation.name': 'text_completion',
      'gen_ai.request.temperature': 0.7,
      'gen_ai.request.stream': stream,
      'gen_ai.usage.output_tokens': 100,
      'gen_ai.response.finish_reasons': ['length'],
    });
    const process = spans!.find((each) => each.name === 'engine.process')!;
    expect(process.attributes).toMatchObject({ total_tokens: 612, status: 'success' });
    expect(process.endNs).toBeLessThanOrEqual(top.endNs);
    expect(top.startNs).toBeGreaterThan(BigInt(startSeconds - CLOCK_SECONDS) * 1_000_000_000n);
  });

  it('leaves the server in protobuf as well', async () => {
    await serve({ protocol: 'http/protobuf' });
    await (await call(EXAMPLE)).text();
    await closed();
    expect(sink.otherBodies).toHaveLength(1);
    expect(sink.otherBodies[0]).toMatchObject({ contentType: 'application/x-protobuf' });
  });
});

describe('traceparent', () => {
  it("puts the request below the caller's span and names its own", async () => {
    await serve({ sampleRatio: 0 });
    const headers = { traceparent: `00-${PARENT.traceId}-${PARENT.spanId}-01` };
    const response = await call(EXAMPLE, headers);
    await response.text();
    const [spans] = (await closed()).values();
    const root = spans!.find((each) => each.name === 'gateway.request')!;
    expect(root).toMatchObject({ traceId: PARENT.traceId, parentSpanId: PARENT.spanId });
    expect(response.headers.get('traceparent')).toBe(`00-${PARENT.traceId}-${root.spanId}-01`);
    expect(spans!.find((each) => each.name === 'engine.process')!.parentSpanId).toBe(root.spanId);
  });

  it('of a caller that keeps nothing is followed', async () => {
    await serve();
    const response = await call(EXAMPLE, { traceparent: `00-${PARENT.traceId}-${PARENT.spanId}-00` });
    expect(response.headers.get('traceparent')).toMatch(/-00$/);
    await response.text();
    expect((await closed()).size).toBe(0);
  });
});

describe('what is kept', () => {
  it('of slow first tokens all', async () => {
    await serve({ sampleRatio: 0, slowTtftMs: 1 });
    await (await call(EXAMPLE)).text();
    await eventually(async () => expect(await metric('tracing_traces_kept_total{reason="slow_ttft"}')).toBe(1));
    expect((await closed()).size).toBe(1);
  });

  it('of quick ones none, at a ratio of 0', async () => {
    await serve({ sampleRatio: 0 });
    await (await call({ ...EXAMPLE, prompt: [65, 66] })).text();
    expect((await closed()).size).toBe(0);
  });

  it('of requests that the engine failed all, and the device that failed is seen', async () => {
    await serve({ sampleRatio: 0 });
    await server!.admin('/admin/faults', { kind: 'sticky' });
    const response = await call(EXAMPLE);
    await response.text();
    const [spans] = (await closed()).values();
    expectTree(spans!);
    const root = spans!.find((each) => each.name === 'gateway.request')!;
    expect(root).toMatchObject({ status: 2, attributes: { status: 'server_error', 'error.type': 'engine_failed' } });
    expect(spans!.find((each) => each.name === 'engine.process')!.attributes['status']).toBe('error');
  });

  it('of what a thread that crashed held, the span of the gateway', async () => {
    await serve({ sampleRatio: 0 }, { timeScale: 1 });
    const answer = call({ ...EXAMPLE, max_tokens: ENDLESS_TOKENS });
    await eventually(async () => expect((await server!.load()).running_sequences).toBe(1));
    server!.serving.link.kill();
    expect((await answer).status).toBe(500);
    const [spans] = (await closed()).values();
    expect(spans!.map((each) => each.name)).toEqual(['gateway.request']);
    expect(spans![0]).toMatchObject({ status: 2, attributes: { status: 'server_error' } });
  });

  it('of scrapes and health checks none', async () => {
    await serve();
    for (const path of ['/metrics', '/health', '/health/live', '/load', '/dashboard']) {
      const headers = { authorization: `Bearer ${server!.adminKey}` };
      const response = await fetch(`${server!.url}${path}`, { headers });
      await response.text();
      expect(response.headers.get('traceparent')).toBe(null);
    }
    expect((await closed()).size).toBe(0);
  });

  it('of refused requests the span of the gateway, with why', async () => {
    await serve();
    const refused = await call({ prompt: 'a', max_tokens: -1 });
    expect(refused.status).toBe(400);
    await refused.text();
    const unknown = await fetch(`${server!.url}/v1/completions`, { method: 'POST' });
    await unknown.text();
    const spans = [...(await closed()).values()].flat();
    expect(spans.map((each) => each.name)).toEqual(['gateway.request', 'gateway.request']);
    expect(spans.map((each) => each.attributes['http.response.status_code']).sort()).toEqual([400, 401]);
    for (const span of spans) expect(span.attributes).toMatchObject({ status: 'client_error' });
  });
});

describe('exemplars', () => {
  const histograms = [
    'time_to_first_token_seconds',
    'request_latency_seconds',
    'request_time_per_output_token_seconds',
    'gateway_time_to_first_token_seconds',
  ];

  it('lead from a bucket to a kept trace that fell into it, in OpenMetrics alone', async () => {
    const startSeconds = epochSeconds();
    await serve();
    const response = await call(EXAMPLE);
    await response.text();
    const [, traceId] = response.headers.get('traceparent')!.split('-');
    const scrape = async (accept: string) =>
      (await fetch(`${server!.url}/metrics`, { headers: { accept } })).text().then((text) => text.split('\n'));
    await eventually(async () => expect((await scrape('application/openmetrics-text')).join()).toContain(traceId));
    const lines = await scrape('application/openmetrics-text; version=1.0.0');
    for (const name of histograms) {
      const buckets = lines.filter((line) => line.startsWith(`${name}_bucket`));
      const at = buckets.findIndex((line) => line.includes(`# {trace_id="${traceId}"}`));
      const boundOf = (line: string) => Number(/le="([^"]+)"/.exec(line)![1]!.replace('+Inf', 'Infinity'));
      const [, value, time] = /trace_id="\w+"\} (\S+) (\S+)/.exec(buckets[at]!)!;
      expect(Number(value)).toBeLessThanOrEqual(boundOf(buckets[at]!));
      // It is one of those that the bucket has counted.
      const count = (line: string | undefined) => Number(line === undefined ? 0 : /\} (\d+)/.exec(line)![1]);
      const sameSeries = (line: string) => line.replace(/le="[^"]+"/, '').split(' ')[0];
      const before = buckets[at - 1];
      const below = before !== undefined && sameSeries(before) === sameSeries(buckets[at]!) ? count(before) : 0;
      expect(count(buckets[at]) - below).toBe(1);
      expect(Number(time)).toBeGreaterThan(startSeconds - CLOCK_SECONDS);
      expect(Number(time)).toBeLessThan(epochSeconds() + CLOCK_SECONDS);
    }
    expect((await scrape('text/plain')).join()).not.toContain(traceId);
  });

  it('are those of kept traces alone', async () => {
    await serve({ sampleRatio: 0 });
    await (await call({ ...EXAMPLE, prompt: [65, 66] })).text();
    await server!.idle();
    const headers = { accept: 'application/openmetrics-text' };
    expect(await (await fetch(`${server!.url}/metrics`, { headers })).text()).not.toContain('trace_id');
  });
});

describe('what is never in a span', () => {
  it('text, ids and users, unless somebody asked for them', async () => {
    await serve({ userId: true });
    const chat = { messages: [{ role: 'user', content: SECRET }], max_tokens: 20, user: 'alice@example.org' };
    const response = await call(chat, {}, '/v1/chat/completions');
    const answer = ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]!.message
      .content;
    const spans = [...(await closed()).values()].flat();
    const text = JSON.stringify(spans, (_key, value) => (typeof value === 'bigint' ? String(value) : value));
    expect(text).not.toContain('secret');
    expect(text).not.toContain('alice');
    expect(text).not.toContain(answer.slice(0, 10));
    expect(spans.some((each) => 'token_id' in each.attributes)).toBe(false);
    expect(spans.find((each) => each.name === 'gateway.request')!.attributes['user_id']).toMatch(/^[0-9a-f]{16}$/);
  });

  it('has the ids of tokens where they were asked for', async () => {
    await serve({ tokenIds: true });
    await (await call({ ...EXAMPLE, max_tokens: 5 })).text();
    const samples = [...(await closed()).values()].flat().filter((each) => each.name === 'sampler.sample');
    const ids = samples.flatMap((each) => each.attributes['token_id'] as number[]);
    expect(ids).toHaveLength(5);
  });
});

describe('a collector that is slow or gone', () => {
  it('loses what does not fit, counted, and never part of a trace', async () => {
    await serve({ queueSpansMax: 512 });
    sink.hold();
    for (let round = 0; round < 4; round++) {
      await Promise.all(Array.from({ length: 25 }, async () => (await call({ ...EXAMPLE, max_tokens: 3 })).text()));
    }
    await eventually(async () =>
      expect(await metric('tracing_spans_dropped_total{reason="queue_full"}')).toBeGreaterThan(300),
    );
    const dropped = await metric('tracing_spans_dropped_total{reason="queue_full"}');
    const kept = await metric('tracing_traces_kept_total{reason="ratio"}');
    sink.release();
    await eventually(async () => expect((await metric('tracing_spans_exported_total')) + dropped).toBe(10 * kept));
    const traces = await closed();
    for (const spans of traces.values()) expectTree(spans);
    expect(sink.spans.length + dropped).toBe(10 * kept);
  });

  it('costs nobody an answer', async () => {
    await serve();
    sink.status = 400;
    expect((await call(EXAMPLE)).status).toBe(200);
    await eventually(async () => expect(await metric('tracing_spans_dropped_total{reason="export_failed"}')).toBe(10));
  });
});

describe('many requests', () => {
  it('10,000 of them reach the collector once each, no span without its parent, and nothing is left in a table', async () => {
    const mine = await serve({ queueSpansMax: 200_000 });
    const kinds = [
      { max_tokens: 3 },
      { max_tokens: 40, stream: true },
      { max_tokens: 8, n: 2 },
      { max_tokens: 400, stream: true, leaves: true },
      { max_tokens: 0 },
    ];
    await sendMany(mine, 10_000, kinds);
    await mine.idle();
    await eventually(() => expect(mine.serving.tracing!.requests.live).toEqual({ traces: 0, engineRequests: 0 }));
    const traces = await closed();
    expect(traces.size).toBe(10_000);
    for (const each of traces.values()) expectTree(each);
    const ids = new Set(sink.spans.map((each) => `${each.traceId} ${each.spanId}`));
    expect(ids.size).toBe(sink.spans.length);
  });
});

interface Kind {
  readonly max_tokens: number;
  readonly n?: number;
  readonly stream?: boolean;
  /** The client goes away after the first bytes. */
  readonly leaves?: boolean;
}

/** Requests over 32 connections that stay open; resolves when all have been answered or left. */
async function sendMany(to: TestServer, count: number, kinds: readonly Kind[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const { leaves = false, ...kind } = kinds[next++ % kinds.length]!;
      await new Promise<void>((resolve, reject) => {
        const headers = { authorization: `Bearer ${to.key}`, 'content-type': 'application/json' };
        const sent = request(`${to.url}/v1/completions`, { method: 'POST', agent, headers }, (response) => {
          response.once('close', resolve);
          response.once('data', () => leaves && sent.destroy());
          response.resume();
        });
        sent.once('error', leaves ? () => resolve() : reject);
        sent.end(JSON.stringify({ prompt: [65, 66, 67], ...kind }));
      });
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  agent.destroy();
}
