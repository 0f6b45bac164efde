import { afterEach, describe, expect, it } from 'vitest';
import {
  bodyOf,
  type CompletionBody,
  callCounts,
  ENDLESS_TOKENS,
  type ErrorBody,
  type EventStream,
  metricsOf,
  openStream,
  post,
  streamedText,
  until,
} from '../support/http-calls.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function start(overrides: TestServerOverrides = {}): Promise<TestServer> {
  server = await startTestServer({ timeScale: 1, ...overrides });
  return server;
}

const ENDLESS = { prompt: 'Rivers', seed: 3, max_tokens: ENDLESS_TOKENS, ignore_eos: true };
const SHORT = { ...ENDLESS, max_tokens: 12 };

function health(at: TestServer): Promise<number> {
  return fetch(`${at.url}/health`).then((response) => response.status);
}

/** The stream ends as clients expect of one that fails: one error event, then [DONE]. */
async function expectErrorEnd(stream: EventStream, code: string): Promise<void> {
  expect(stream.response.status).toBe(200);
  const events = await stream.rest();
  expect(events.at(-1)).toBe('[DONE]');
  const { error } = JSON.parse(events.at(-2)!) as ErrorBody;
  expect(error).toEqual({ message: expect.any(String), type: expect.any(String), param: null, code });
  expect(events.filter((event) => event.includes('"error":'))).toHaveLength(1);
}

async function expectServed(at: TestServer): Promise<void> {
  const body = await bodyOf<CompletionBody>(post(at, SHORT));
  expect(body.choices[0]!.finish_reason).toBe('length');
  expect(body.usage!.completion_tokens).toBe(SHORT.max_tokens);
}

/** A stream that has begun and a call that is answered whole, both with the engine. */
async function twoCalls(at: TestServer): Promise<{ stream: EventStream; whole: Promise<Response> }> {
  const stream = await openStream(at, ENDLESS);
  await stream.next();
  const whole = post(at, ENDLESS);
  await until(at.load, ({ running_sequences }) => running_sequences === 2);
  return { stream, whole };
}

function restartsIn(samples: ReadonlyMap<string, number>): number {
  return [...samples].find(([name]) => name.includes('engine_restarts_total'))![1];
}

describe('the engine thread crashes', () => {
  it('streams end with an error event, whole answers with 500, then the engine comes back', async () => {
    const at = await start({ watchdog: { restartMs: 300 } });
    const { stream, whole } = await twoCalls(at);
    at.serving.link.kill();
    await expectErrorEnd(stream, 'engine_failed');
    const { error } = await bodyOf<ErrorBody>(whole, 500);
    expect(error).toMatchObject({ type: 'server_error', code: 'engine_failed', param: null });
    await until(
      () => health(at),
      (status) => status === 200,
    );
    await expectServed(at);
    expect((await at.load()).engine_restarts).toBe(1);
    await until(
      () => metricsOf(at),
      (samples) => restartsIn(samples) === 1,
    );
    const page = await at.idle();
    expect(page.kv_blocks_used).toBe(0);
  });

  it('says 503 with Retry-After for the pause, also of its health', async () => {
    // The pause outlasts the test: the engine does not come back in it.
    const watchdog = { restartMs: 600_000, restartMaxMs: 600_000 };
    const at = await start({ watchdog, patience: { nowMs: () => 0 } });
    const { stream, whole } = await twoCalls(at);
    at.serving.link.kill();
    await stream.rest();
    expect((await whole).status).toBe(500);
    for (const more of [{}, { stream: true }]) {
      const response = await post(at, { ...SHORT, ...more });
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(500);
      expect(Number(response.headers.get('retry-after-ms'))).toBeGreaterThan(500_000);
      const { error } = await bodyOf<ErrorBody>(response, 503);
      expect(error).toMatchObject({ type: 'overloaded_error', code: 'engine_down' });
    }
    expect(await health(at)).toBe(503);
    const page = await at.load();
    expect(page).toMatchObject({ state: 'restarting', live_requests: 0, running_sequences: 0, kv_blocks_used: 0 });
    expect((await fetch(`${at.url}/health/live`)).status).toBe(200);
    const { received, ended } = await callCounts(at);
    expect(received).toBe(4);
    expect(ended).toMatchObject({ server_error: 2, rejected: 2 });
  });
});

describe('the engine thread hangs', () => {
  it('is replaced by the watchdog; /metrics and /load answer meanwhile', async () => {
    let nowMs = 0;
    const at = await start({ watchdog: { stallMs: 200 }, patience: { nowMs: () => nowMs } });
    const { stream, whole } = await twoCalls(at);
    void at.serving.link.admin({ call: 'hang' }).catch(() => {});
    await until(
      () => {
        nowMs += 100;
        return health(at);
      },
      (status) => status === 503,
    );
    expect(at.serving.link.state).toBe('running');
    expect((await fetch(`${at.url}/metrics`)).status).toBe(200);
    expect((await at.load()).live_requests).toBe(2);
    await until(
      () => {
        nowMs += 2 * 3_600_000;
        return at.serving.link.state;
      },
      (state) => state !== 'running',
    );
    await expectErrorEnd(stream, 'engine_failed');
    expect((await whole).status).toBe(500);
    await until(
      () => health(at),
      (status) => status === 200,
    );
    await expectServed(at);
    expect((await at.load()).engine_restarts).toBe(1);
  });
});

describe('faults of the device', () => {
  const fault = (kind: string, more: object = {}) => server!.admin('/admin/faults', { kind, ...more });

  it('transient: the step is tried again and the answer is the one without the fault', async () => {
    const at = await start();
    const asked = { ...SHORT, max_tokens: 200 };
    const expected = (await bodyOf<CompletionBody>(post(at, asked))).choices[0]!.text;
    const stream = await openStream(at, asked);
    const first = (await stream.next())!;
    await fault('transient');
    expect(streamedText([first, ...(await stream.rest())])).toBe(expected);
    // On a busy machine the stream may have ended before the fault came; then it hits the next one.
    await until(
      async () => {
        await expectServed(at);
        const failed = [...(await metricsOf(at))].filter(([name]) => /steps?_failed|failed_steps|failures/.test(name));
        return Math.max(...failed.map(([, value]) => value));
      },
      (failures) => failures > 0,
    );
  });

  it('sticky: what runs ends with an error, the next request is served', async () => {
    const at = await start();
    const { stream, whole } = await twoCalls(at);
    await fault('sticky');
    await expectErrorEnd(stream, 'engine_failed');
    expect((await whole).status).toBe(500);
    await expectServed(at);
    expect((await at.idle()).kv_blocks_used).toBe(0);
    await at.admin('/admin/check');
  });

  it('device-lost: errors, then 503 for everybody, and no health', async () => {
    const at = await start();
    const { stream, whole } = await twoCalls(at);
    await fault('device-lost');
    await expectErrorEnd(stream, 'engine_failed');
    expect((await whole).status).toBe(500);
    for (const more of [{}, { stream: true }]) {
      const { error } = await bodyOf<ErrorBody>(post(at, { ...SHORT, ...more }), 503);
      expect(error).toMatchObject({ type: 'overloaded_error', code: 'device_lost' });
    }
    await until(
      () => health(at),
      (status) => status === 503,
    );
    expect((await at.idle()).kv_blocks_used).toBe(0);
  });

  it('slow: the device takes longer, the answers are the same', async () => {
    const at = await start();
    const expected = (await bodyOf<CompletionBody>(post(at, SHORT))).choices[0]!.text;
    await fault('slow', { factor: 3, seconds: 60 });
    expect((await bodyOf<CompletionBody>(post(at, SHORT))).choices[0]!.text).toBe(expected);
  });

  it('that are none: 400 that says which there are', async () => {
    const at = await start();
    for (const body of [{}, { kind: 'fire' }, { kind: 'slow' }, { kind: 'slow', factor: -1, seconds: 1 }]) {
      const { error } = await bodyOf<ErrorBody>(post(at, body, { path: '/admin/faults', key: at.adminKey }), 400);
      expect(error.message).toContain('device-lost');
    }
  });
});

describe('a full disk for logs', () => {
  it('does not harm the server; lost lines are counted', async () => {
    const at = await start({ logFile: '/dev/full', logLevel: 'info' });
    await expectServed(at);
    await bodyOf<CompletionBody>(post(at, { ...SHORT, no_such_field: 1 }));
    await expectServed(at);
    await until(at.load, (page) => page.log_lines_dropped >= 2);
    expect(await health(at)).toBe(200);
  });
});
