import { afterEach, describe, expect, it } from 'vitest';
import { type Serving, startServing } from '../../src/runtime/serve.ts';
import {
  bodyOf,
  type CompletionBody,
  callCounts,
  connectTo,
  ENDLESS_TOKENS,
  type ErrorBody,
  EventStream,
  openStream,
  post,
  requestBytes,
  streamedText,
  until,
} from '../support/http-calls.ts';
import {
  apiKey,
  startTestServer,
  type TestServer,
  type TestServerOverrides,
  testServeConfig,
} from '../support/test-server.ts';

let server: TestServer | null = null;
let plain: Serving | null = null;
afterEach(async () => {
  await server?.close();
  await plain?.stop('the test is over');
  server = null;
  plain = null;
});

async function start(overrides: TestServerOverrides = {}): Promise<TestServer> {
  server = await startTestServer({ timeScale: 1, ...overrides });
  return server;
}

const ENDLESS = { prompt: 'Rivers', seed: 3, max_tokens: ENDLESS_TOKENS, ignore_eos: true };
const SHORT = { ...ENDLESS, max_tokens: 5 };
/** 1024 tokens of the byte tokenizer: 64 blocks. */
const LONG_PROMPT = 'the quick brown fox jumps over a lazy dog '.repeat(25).slice(0, 1024);

/** Nothing is with the engine, nothing is held, and its laws hold. */
async function expectForgotten(at: TestServer): Promise<void> {
  const page = await at.idle();
  expect(page).toMatchObject({ live_requests: 0, running_sequences: 0, waiting_sequences: 0, kv_blocks_used: 0 });
  expect(page.output_tokens).toBeLessThan(ENDLESS_TOKENS / 2);
  await at.admin('/admin/check');
}

async function expectCounts(at: TestServer, counts: Readonly<Record<string, number>>): Promise<void> {
  const { received, ended } = await callCounts(at);
  const zero = { success: 0, client_error: 0, rejected: 0, cancelled: 0, server_error: 0 };
  expect(ended).toEqual({ ...zero, ...counts });
  expect(received).toBe(Object.values(counts).reduce((sum, count) => sum + count, 0));
}

describe('orders of the operator', () => {
  it('abort by the id of the answer or of the request: it ends as abort with what it has', async () => {
    const at = await start();
    for (const [path, id] of [
      ['id', null],
      ['x-request-id', 'mine-1'],
    ] as const) {
      const headers: Record<string, string> = id === null ? {} : { 'x-request-id': id };
      const stream = await openStream(at, ENDLESS, { headers });
      const first = JSON.parse((await stream.next())!) as CompletionBody;
      const order = { request_id: path === 'id' ? first.id : id };
      expect(await at.admin('/admin/abort', order)).toEqual({ aborted: 1 });
      const events = await stream.rest();
      expect(events.at(-1)).toBe('[DONE]');
      expect((JSON.parse(events.at(-2)!) as CompletionBody).choices[0]!.finish_reason).toBe('abort');
    }
    await expectForgotten(at);
    expect(await at.admin('/admin/abort', { request_id: 'nobody' })).toEqual({ aborted: 0 });
  });

  it('abort of all: streams and whole answers', async () => {
    const at = await start();
    const stream = await openStream(at, ENDLESS);
    const whole = post(at, { ...ENDLESS, n: 3 });
    await until(at.load, (page) => page.running_sequences === 4);
    expect(await at.admin('/admin/abort', { all: true })).toEqual({ aborted: 2 });
    expect(streamedText(await stream.rest()).length).toBeGreaterThan(0);
    const { choices } = await bodyOf<CompletionBody>(whole);
    expect(choices.map((choice) => choice.finish_reason)).toEqual(['abort', 'abort', 'abort']);
    await expectForgotten(at);
  });

  it('abort that names nothing: 400', async () => {
    const at = await start();
    for (const body of [{}, { all: false }, { request_id: 'a', all: true }, { id: 'a' }]) {
      await bodyOf<ErrorBody>(post(at, body, { path: '/admin/abort', key: at.adminKey }), 400);
    }
  });

  it('drain: what runs goes on, new requests and health get 503', async () => {
    const at = await start();
    const stream = await openStream(at, { ...SHORT, max_tokens: 100 });
    const first = (await stream.next())!;
    expect(await at.admin('/admin/drain')).toEqual({ state: 'draining', live_requests: 1 });
    const { error } = await bodyOf<ErrorBody>(post(at, SHORT), 503);
    expect(error).toMatchObject({ type: 'overloaded_error', code: 'draining' });
    expect((await fetch(`${at.url}/health`)).status).toBe(503);
    expect(streamedText([first, ...(await stream.rest())]).length).toBeGreaterThan(50);
    await expectCounts(at, { success: 1, rejected: 1 });
  });

  it('need an admin key: 401 without one, 403 with another or where none is configured', async () => {
    const at = await start();
    const abort = (key: string, url = at.url) =>
      fetch(`${url}/admin/abort`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: '{"all":true}',
      });
    const stranger = await abort('sk-nobody');
    expect(stranger.headers.get('www-authenticate')).toBe('Bearer');
    await bodyOf<ErrorBody>(stranger, 401);
    await bodyOf<ErrorBody>(abort(at.key), 403);
    expect((await abort(at.adminKey)).status).toBe(200);
    plain = await startServing({ ...testServeConfig(), keys: [] });
    const { error } = await bodyOf<ErrorBody>(abort('sk-any', plain.url), 403);
    expect(error.message).toContain('none is configured');
  });
});

describe('a client that hangs up', () => {
  it('in the middle of a stream is forgotten', async () => {
    const at = await start();
    const stream = await openStream(at, { ...ENDLESS, n: 2 });
    await stream.next();
    await stream.cancel();
    await expectForgotten(at);
    await expectCounts(at, { cancelled: 1 });
  });

  it('while it waits for a whole answer is forgotten', async () => {
    const at = await start();
    const client = new AbortController();
    const whole = post(at, ENDLESS, { signal: client.signal });
    await until(at.load, (page) => page.running_sequences === 1);
    client.abort();
    await expect(whole).rejects.toThrow();
    await expectForgotten(at);
    await expectCounts(at, { cancelled: 1 });
  });

  it('right after its request is forgotten, also when the prompt goes through a thread', async () => {
    const at = await start();
    const body = { ...ENDLESS, prompt: LONG_PROMPT.repeat(20), stream: true };
    for (let i = 0; i < 10; i++) {
      const { socket, closed } = await connectTo(at);
      socket.write(requestBytes(at, '/v1/completions', body), () => socket.destroy());
      await closed;
    }
    await until(
      () => callCounts(at),
      ({ received, ended }) => received === Object.values(ended).reduce((sum, count) => sum + count, 0),
    );
    await expectForgotten(at);
  });

  it('with several requests on one connection: the first is forgotten, the others never began', async () => {
    const at = await start();
    const { socket, closed } = await connectTo(at);
    const bytes = requestBytes(at, '/v1/completions', { ...ENDLESS, stream: true });
    socket.write(bytes.repeat(3));
    await until(at.load, (page) => page.running_sequences === 1);
    socket.destroy();
    await closed;
    await expectForgotten(at);
    await expectCounts(at, { cancelled: 1 });
  });
});

describe('a client that does not read', () => {
  const many = { prompt: 'Rivers', max_tokens: 3000, ignore_eos: true, n: 16, stream: true, logprobs: 5 };

  it('is cut off past the limit; others get their answers, and what it held is free', async () => {
    const at = await start({ timeScale: 0, http: { streamBufferBytesMax: 1 << 16 } });
    const { socket, closed } = await connectTo(at);
    socket.pause();
    socket.write(requestBytes(at, '/v1/completions', many));
    await until(at.load, (page) => page.running_sequences === 16);
    const other = await openStream(at, { ...SHORT, max_tokens: 200 });
    expect((await other.rest()).length).toBe(202);
    await until(
      () => callCounts(at),
      ({ ended }) => ended['cancelled'] === 1,
    );
    const page = await at.idle();
    expect(page.kv_blocks_used).toBe(0);
    socket.resume();
    await closed;
    await expectCounts(at, { success: 1, cancelled: 1 });
  });
});

describe('a deadline', () => {
  const within = (ms: string) => ({ headers: { 'x-request-timeout-ms': ms } });

  it('that passes before anything was sent: 504', async () => {
    const at = await start();
    const { error } = await bodyOf<ErrorBody>(post(at, ENDLESS, within('150')), 504);
    expect(error).toMatchObject({ type: 'timeout_error', code: 'deadline_exceeded' });
    await expectForgotten(at);
  });

  it('that passes in the middle of a stream: an error event and [DONE]', async () => {
    const at = await start();
    // On a busy machine the first token may take longer than the deadline: then it is 504, and a longer one is tried.
    let deadlineMs = 500;
    let response = await post(at, { ...ENDLESS, stream: true }, within(String(deadlineMs)));
    let late = 0;
    for (; response.status === 504; late++) {
      await response.text();
      deadlineMs *= 2;
      response = await post(at, { ...ENDLESS, stream: true }, within(String(deadlineMs)));
    }
    const events = await new EventStream(response).rest();
    expect(events.length).toBeGreaterThan(2);
    expect(events.at(-1)).toBe('[DONE]');
    expect((JSON.parse(events.at(-2)!) as ErrorBody).error.code).toBe('deadline_exceeded');
    await expectForgotten(at);
    await expectCounts(at, { server_error: 1 + late });
  });

  it("is at most the server's own", async () => {
    const at = await start({ http: { generationTimeoutMs: 150 } });
    expect((await post(at, ENDLESS, within('100000'))).status).toBe(504);
    expect((await post(at, ENDLESS)).status).toBe(504);
  });

  it.each(['0', '-5', 'soon', 'NaN', 'Infinity', ''])('of %j ms: 400 that names the header', async (value) => {
    const at = await start();
    const { error } = await bodyOf<ErrorBody>(post(at, SHORT, within(value)), 400);
    expect(error.param).toBe('x-request-timeout-ms');
  });
});

describe('limits', () => {
  it('requests per minute of one key do not touch another', async () => {
    const at = await start({
      keys: [apiKey('few', 'sk-few', { limits: { requestsPerMinute: 2 } })],
      patience: { nowMs: () => 0 },
    });
    for (let i = 0; i < 2; i++) expect((await post(at, SHORT, { key: 'sk-few' })).status).toBe(200);
    const refused = await post(at, SHORT, { key: 'sk-few' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(30);
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(0);
    const { error } = await bodyOf<ErrorBody>(refused, 429);
    expect(error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' });
    expect((await post(at, SHORT)).status).toBe(200);
    await expectCounts(at, { success: 3, rejected: 1 });
  });

  it('concurrency of a key: refused while one runs, taken when it has ended', async () => {
    const at = await start({ keys: [apiKey('one', 'sk-one', { limits: { concurrencyMax: 1 } })] });
    const stream = await openStream(at, ENDLESS, { key: 'sk-one' });
    await stream.next();
    await bodyOf<ErrorBody>(post(at, SHORT, { key: 'sk-one' }), 429);
    await stream.cancel();
    await at.idle();
    expect((await post(at, SHORT, { key: 'sk-one' })).status).toBe(200);
    await expectCounts(at, { success: 1, cancelled: 1, rejected: 1 });
  });

  it('tokens per minute of a key: the next request waits for the debt', async () => {
    const at = await start({
      keys: [apiKey('thrifty', 'sk-thrifty', { limits: { tokensPerMinute: 10 } })],
      patience: { nowMs: () => 0 },
    });
    expect((await post(at, { ...SHORT, max_tokens: 40 }, { key: 'sk-thrifty' })).status).toBe(200);
    const refused = await post(at, SHORT, { key: 'sk-thrifty' });
    expect(refused.status).toBe(429);
    // 46 tokens were taken of 10: 37 must flow in at 10 a minute.
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(200);
  });

  it('a full queue: 429 with both headers', async () => {
    const at = await start({ engine: { sequencesMax: 2 }, admission: { waitingMax: 2 } });
    const streams = [await openStream(at, ENDLESS), await openStream(at, ENDLESS)];
    const waiting = [post(at, ENDLESS), post(at, ENDLESS)];
    await until(at.load, (page) => page.live_requests === 4);
    const refused = await post(at, SHORT);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(0);
    const { error } = await bodyOf<ErrorBody>(refused, 429);
    expect(error).toMatchObject({ type: 'rate_limit_error', code: 'queue_full' });
    await at.admin('/admin/abort', { all: true });
    await Promise.all([...streams.map((stream) => stream.rest()), ...waiting]);
    await expectCounts(at, { success: 4, rejected: 1 });
  });

  it('booked out: 503 that counts as refused, not as a mistake of the client', async () => {
    const at = await start({ engine: { sequencesMax: 1 }, admission: { waitingMax: 0, bookingsMax: 0 } });
    const stream = await openStream(at, ENDLESS);
    await stream.next();
    const { error } = await bodyOf<ErrorBody>(post(at, SHORT), 503);
    expect(error).toMatchObject({ type: 'overloaded_error', code: 'overloaded' });
    await stream.cancel();
    await at.idle();
    await expectCounts(at, { cancelled: 1, rejected: 1 });
  });
});

describe('tenants', () => {
  const cached = async (at: TestServer, key: string, more: object = {}) => {
    const body = await bodyOf<CompletionBody>(post(at, { ...SHORT, prompt: LONG_PROMPT, ...more }, { key }));
    return body.usage!.prompt_tokens_details.cached_tokens;
  };

  it('do not see what others have cached; one finds its own again', async () => {
    const at = await start({ timeScale: 0, keys: [apiKey('other', 'sk-other')] });
    expect(await cached(at, at.key)).toBe(0);
    expect(await cached(at, at.key)).toBeGreaterThan(900);
    expect(await cached(at, 'sk-other')).toBe(0);
    expect(await cached(at, 'sk-other')).toBeGreaterThan(900);
  });

  it('nor does one salt see what another has', async () => {
    const at = await start({ timeScale: 0 });
    expect(await cached(at, at.key, { cache_salt: 'a' })).toBe(0);
    expect(await cached(at, at.key, { cache_salt: 'b' })).toBe(0);
    expect(await cached(at, at.key)).toBe(0);
    expect(await cached(at, at.key, { cache_salt: 'a' })).toBeGreaterThan(900);
    await at.admin('/admin/reset_prefix_cache');
    expect(await cached(at, at.key, { cache_salt: 'a' })).toBe(0);
  });
});
