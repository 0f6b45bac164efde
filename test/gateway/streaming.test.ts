import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  bodyOf,
  type CompletionBody,
  callCounts,
  connectTo,
  type EventStream,
  openStream,
  post,
  requestBytes,
  until,
} from '../support/http-calls.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.close());

const ASKED = { prompt: 'Rivers', seed: 3, max_tokens: 12, ignore_eos: true };
const CHAT = { messages: [{ role: 'user', content: 'Rivers' }], seed: 3, max_tokens: 12, ignore_eos: true };

async function chunksOf(stream: EventStream): Promise<CompletionBody[]> {
  const events = await stream.rest();
  expect(events.at(-1)).toBe('[DONE]');
  return events.slice(0, -1).map((event) => JSON.parse(event) as CompletionBody);
}

async function chunks(body: object, path = '/v1/completions'): Promise<CompletionBody[]> {
  return chunksOf(await openStream(server, body, { path }));
}

describe('a stream of a chat', () => {
  it('is a role without text, an event per token, the reason of its end', async () => {
    const all = await chunks(CHAT, '/v1/chat/completions');
    expect(all).toHaveLength(1 + 12 + 1);
    expect(all[0]!.choices[0]).toMatchObject({ delta: { role: 'assistant', content: '' }, finish_reason: null });
    for (const chunk of all.slice(1, -1)) {
      expect(Object.keys(chunk.choices[0]!.delta!)).toEqual(['content']);
      expect(chunk.choices[0]!.finish_reason).toBeNull();
      expect(chunk.usage ?? null).toBeNull();
    }
    expect(all.at(-1)!.choices[0]).toMatchObject({ delta: {}, finish_reason: 'length' });
    expect(new Set(all.map((chunk) => chunk.id)).size).toBe(1);
  });
});

describe('usage in a stream', () => {
  it('comes once, after the end, with no choices', async () => {
    const all = await chunks({ ...ASKED, stream_options: { include_usage: true } });
    expect(all).toHaveLength(12 + 1 + 1);
    expect(all.at(-1)!.choices).toEqual([]);
    expect(all.at(-1)!.usage).toMatchObject({ completion_tokens: 12, prompt_tokens: 6, total_tokens: 18 });
    for (const chunk of all.slice(0, -1)) expect(chunk.usage ?? null).toBeNull();
  });

  it('is in every event where that is asked for, and grows by a token', async () => {
    const all = await chunks({
      ...ASKED,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    const counts = all.map((chunk) => chunk.usage!.completion_tokens);
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12]);
  });
});

describe('several choices in a stream', () => {
  it('are interleaved, each with its own text and end', async () => {
    const all = await chunks({ ...ASKED, n: 3, temperature: 1 });
    const order = all.map((chunk) => chunk.choices[0]!.index);
    for (const index of [0, 1, 2]) {
      const own = all.filter((chunk) => chunk.choices[0]!.index === index);
      expect(own).toHaveLength(12 + 1);
      expect(own.at(-1)!.choices[0]!.finish_reason).toBe('length');
    }
    // Not one after the other: the last choice begins before the first has ended.
    expect(order.indexOf(2)).toBeLessThan(order.lastIndexOf(0));
    const whole = await bodyOf<CompletionBody>(post(server, { ...ASKED, n: 3, temperature: 1 }));
    for (const choice of whole.choices) {
      const text = all.map((chunk) => (chunk.choices[0]!.index === choice.index ? chunk.choices[0]!.text : ''));
      expect(text.join('')).toBe(choice.text);
    }
  });
});

describe('what a stream may carry beside text', () => {
  it('the prompt first, where it is echoed', async () => {
    const plain = (await bodyOf<CompletionBody>(post(server, ASKED))).choices[0]!.text;
    const all = await chunks({ ...ASKED, echo: true });
    expect(all[0]!.choices[0]!.text).toBe(ASKED.prompt);
    expect(all.map((chunk) => chunk.choices[0]!.text).join('')).toBe(ASKED.prompt + plain);
  });

  it('ids of tokens: those of the whole answer', async () => {
    const whole = (await bodyOf<CompletionBody>(post(server, { ...ASKED, return_token_ids: true }))).choices[0]!;
    expect(whole.token_ids).toHaveLength(12);
    expect(whole.prompt_token_ids).toHaveLength(6);
    const all = await chunks({ ...ASKED, return_token_ids: true });
    expect(all.flatMap((chunk) => chunk.choices[0]!.token_ids ?? [])).toEqual(whole.token_ids);
  });
});

/** Bodies of the responses in a row of bytes, and their status lines. */
function statusLines(text: string): string[] {
  return text.match(/HTTP\/1\.1 \d{3}/g) ?? [];
}

describe('HTTP', () => {
  it('requests in a row on one connection are answered in their order', async () => {
    const { socket, received, closed } = await connectTo(server);
    const stream = (id: string) =>
      requestBytes(server, '/v1/completions', { ...ASKED, stream: true }, { headers: `x-request-id: ${id}\r\n` });
    socket.write(stream('first') + requestBytes(server, '/v1/models', null) + stream('second'));
    const text = await until(received, (all) => all.split('data: [DONE]').length === 3);
    expect(statusLines(text)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200']);
    const places = ['x-request-id: first', '"object":"list"', 'x-request-id: second'].map((word) => text.indexOf(word));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(Math.min(...places)).toBeGreaterThan(0);
    for (const id of ['cmpl-first', 'cmpl-second']) expect(text.split(`"id":"${id}"`).length - 1).toBe(13);
    expect(text.indexOf('"id":"cmpl-second"')).toBeGreaterThan(text.lastIndexOf('"id":"cmpl-first"'));
    socket.end();
    await closed;
  });

  it('a client of HTTP/1.0 gets the stream without chunks, until the connection closes', async () => {
    const { socket, received, closed } = await connectTo(server);
    socket.write(requestBytes(server, '/v1/completions', { ...ASKED, stream: true }, { version: '1.0' }));
    await closed;
    const text = received();
    const end = text.indexOf('\r\n\r\n');
    expect(text.slice(0, end)).toMatch(/^HTTP\/1\.1 200/);
    expect(text.slice(0, end).toLowerCase()).not.toContain('transfer-encoding');
    const events = text.slice(end + 4).split('\n\n');
    expect(events.pop()).toBe('');
    expect(events).toHaveLength(14);
    for (const event of events) expect(event).toMatch(/^data: [^\r\n]*$/);
    expect(events.at(-1)).toBe('data: [DONE]');
  });

  it('HEAD is GET without a body; other methods are told what is allowed', async () => {
    const head = await fetch(`${server.url}/health`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    for (const method of ['GET', 'HEAD', 'PUT', 'OPTIONS']) {
      const headers = { authorization: `Bearer ${server.key}` };
      const answer = await fetch(`${server.url}/v1/completions`, { method, headers });
      expect([method, answer.status]).toEqual([method, 405]);
    }
  });

  it('the id of a request comes back, on streams and errors; a bad one is replaced', async () => {
    const headers = { 'x-request-id': 'mine-7' };
    const stream = await openStream(server, ASKED, { headers });
    expect(stream.response.headers.get('x-request-id')).toBe('mine-7');
    expect((await chunksOf(stream))[0]!.id).toBe('cmpl-mine-7');
    for (const body of [
      { ...ASKED, model: 'gpt-x' },
      { ...ASKED, model: 'gpt-x', stream: true },
    ]) {
      const refused = await post(server, body, { headers });
      expect([refused.status, refused.headers.get('x-request-id')]).toEqual([404, 'mine-7']);
      await refused.text();
    }
    const bad = await post(server, ASKED, { headers: { 'x-request-id': 'a b' } });
    expect(bad.headers.get('x-request-id')).toMatch(/^req-\d+$/);
    await bad.text();
    const unknown = await fetch(`${server.url}/nowhere`, { headers });
    expect([unknown.status, unknown.headers.get('x-request-id')]).toEqual([401, 'mine-7']);
  });
});

describe('CORS', () => {
  let open: TestServer | null = null;
  afterEach(async () => {
    await open?.close();
    open = null;
  });
  const ORIGIN = 'https://chat.example';

  it('is off by default', async () => {
    const answer = await post(server, { ...ASKED, stream: true }, { headers: { origin: ORIGIN } });
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    await answer.text();
    const asked = await fetch(`${server.url}/v1/completions`, { method: 'OPTIONS', headers: { origin: ORIGIN } });
    expect(asked.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('lets the origins in that are named: preflights, answers, streams and errors', async () => {
    open = await startTestServer({ corsOrigins: [ORIGIN] });
    const at = open;
    const preflight = await fetch(`${at.url}/v1/completions`, {
      method: 'OPTIONS',
      headers: {
        origin: ORIGIN,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization, content-type',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(preflight.headers.get('access-control-allow-methods')).toContain('POST');
    const allowed = async (body: object, origin: string, key = at.key) => {
      const answer = await post(at, body, { headers: { origin }, key });
      await answer.text();
      return [answer.status, answer.headers.get('access-control-allow-origin')];
    };
    for (const stream of [false, true]) {
      expect(await allowed({ ...ASKED, stream }, ORIGIN)).toEqual([200, ORIGIN]);
      expect(await allowed({ ...ASKED, stream }, 'https://evil.example')).toEqual([200, null]);
      expect(await allowed({ ...ASKED, stream, n: 0 }, ORIGIN)).toEqual([400, ORIGIN]);
    }
    expect(await allowed(ASKED, ORIGIN, 'sk-nobody')).toEqual([401, ORIGIN]);
  });
});

it('every call that came has one end in /metrics after a mixed run', async () => {
  const own = await startTestServer();
  try {
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 60; i++) {
      const client = new AbortController();
      const body = [
        { ...ASKED },
        { ...ASKED, stream: true, n: 2 },
        { ...ASKED, prompt: ['a', 'b'], stream: true },
        { ...ASKED, max_tokens: 30_000 },
        { ...ASKED, prompt: 'x'.repeat(200_000) },
        { ...ASKED, stop: 'e' },
      ][i % 6]!;
      const headers: Record<string, string> = i % 10 === 9 ? { 'x-request-timeout-ms': '1' } : {};
      const answer = post(own, body, { headers, signal: client.signal }).then((response) => response.text());
      calls.push(answer.catch((error: Error) => expect(error.name).toBe('AbortError')));
      if (i % 6 === 3) setImmediate(() => client.abort());
    }
    await Promise.all(calls);
    expect((await own.idle()).kv_blocks_used).toBe(0);
    const counts = await until(
      () => callCounts(own),
      ({ received, ended }) => received === Object.values(ended).reduce((sum, count) => sum + count, 0),
    );
    expect(counts.received).toBeGreaterThan(40);
    expect(counts.ended['success']).toBeGreaterThan(20);
    expect(counts.ended['client_error']).toBeGreaterThan(0);
    await own.admin('/admin/check');
  } finally {
    await own.close();
  }
});
