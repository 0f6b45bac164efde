import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENDLESS_TOKENS } from '../../support/http-calls.ts';
import { startTestServer, type TestServer } from '../../support/test-server.ts';

// `curl -N`, as a person tries a server: what is on the wire, without a client's help.

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server?.close());

const asked = {
  model: 'twin',
  messages: [{ role: 'user', content: 'Say something about rivers.' }],
  seed: 7,
  max_tokens: 20,
};

interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

function curlArguments(path: string, body: object | string | null, more: readonly string[] = []): string[] {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const post = body === null ? [] : ['-H', 'content-type: application/json', '-d', text];
  return ['-sN', '-i', '-H', `authorization: Bearer ${server.key}`, ...post, ...more, `${server.url}${path}`];
}

/** Without blocking this thread, which serves. */
function curl(path: string, body: object | string | null, more: readonly string[] = []): Promise<Answer> {
  const child = spawn('curl', curlArguments(path, body, more), { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part: Buffer) => {
    text += part.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      const end = text.indexOf('\r\n\r\n');
      const [first, ...lines] = text.slice(0, end).split('\r\n');
      const headers = new Map(
        lines.map((line) => [line.split(':', 1)[0]!.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
      );
      resolve({ status: Number(first!.split(' ')[1]), headers, body: text.slice(end + 4) });
    });
  });
}

interface Chunk {
  readonly id: string;
  readonly choices: readonly {
    readonly delta: { readonly role?: string; readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: object | null;
}

/** Data of each event; throws where the body is not a series of events with data alone. */
function eventsOf(body: string): string[] {
  expect(body.endsWith('\n\n')).toBe(true);
  return body
    .slice(0, -2)
    .split('\n\n')
    .map((event) => {
      expect(event).toMatch(/^data: [^\n]*$/);
      return event.slice('data: '.length);
    });
}

describe('a stream', () => {
  it('is a role, an event per token, an end, the usage, [DONE]', async () => {
    const answer = await curl('/v1/chat/completions', {
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers.get('cache-control')).toContain('no-cache');
    const events = eventsOf(answer.body);
    expect(events.pop()).toBe('[DONE]');
    const chunks = events.map((event) => JSON.parse(event) as Chunk);
    expect(chunks.map(({ choices }) => choices.length)).toEqual([...Array(22).fill(1), 0]);
    expect(chunks[0]!.choices[0]!.delta).toEqual({ role: 'assistant', content: '' });
    for (const { choices } of chunks.slice(1, 21)) {
      expect(choices[0]!.delta.content).toHaveLength(1);
      expect(choices[0]!.finish_reason).toBeNull();
    }
    expect(chunks[21]!.choices[0]).toMatchObject({ delta: {}, finish_reason: 'length' });
    expect(chunks[22]!.usage).toMatchObject({ completion_tokens: 20 });
  });

  it('of /v1/completions has text', async () => {
    const answer = await curl('/v1/completions', {
      model: 'twin',
      prompt: 'Rivers',
      seed: 7,
      max_tokens: 5,
      stream: true,
    });
    const events = eventsOf(answer.body);
    expect(events).toHaveLength(7);
    expect(events.at(-1)).toBe('[DONE]');
    expect((JSON.parse(events[0]!) as { choices: { text: string }[] }).choices[0]!.text).toHaveLength(1);
  });

  it('has usage in every event when asked', async () => {
    const options = { include_usage: true, continuous_usage_stats: true };
    const answer = await curl('/v1/chat/completions', { ...asked, stream: true, stream_options: options });
    const chunks = eventsOf(answer.body)
      .slice(0, -1)
      .map((event) => JSON.parse(event) as Chunk & { usage: { completion_tokens: number } });
    const counts = chunks.slice(1, 21).map(({ usage }) => usage.completion_tokens);
    expect(counts).toEqual(counts.map((_, i) => i + 1));
  });

  it('of a client that hangs up is given up', async () => {
    const slow = await startTestServer({ timeScale: 1 });
    try {
      const body = JSON.stringify({ ...asked, max_tokens: ENDLESS_TOKENS, stream: true });
      const options = [
        '-sN',
        '-H',
        `authorization: Bearer ${slow.key}`,
        '-H',
        'content-type: application/json',
        '-d',
        body,
      ];
      const child = spawn('curl', [...options, `${slow.url}/v1/chat/completions`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
      child.kill('SIGKILL');
      const page = await slow.idle();
      expect(page.kv_blocks_used).toBe(0);
      expect(page.output_tokens).toBeLessThan(ENDLESS_TOKENS);
    } finally {
      await slow.close();
    }
  });

  it('that the server refuses has its own status and no event', async () => {
    const answer = await curl('/v1/chat/completions', { ...asked, model: 'gpt-x', stream: true });
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body)).toMatchObject({
      error: { code: 'model_not_found', param: 'model', type: 'invalid_request_error' },
    });
  });
});

it("request ids come back, the client's own too", async () => {
  const own = await curl('/v1/chat/completions', asked, ['-H', 'x-request-id: my-id-1']);
  expect(own.headers.get('x-request-id')).toBe('my-id-1');
  const given = await curl('/v1/models', null);
  expect(given.headers.get('x-request-id')).toMatch(/\S/);
});

it('a body that is no JSON: 400 in the shape of an error', async () => {
  const answer = await curl('/v1/chat/completions', '{"model": "twin",');
  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.body)).toMatchObject({ error: { type: 'invalid_request_error' } });
});

it('without a key: 401; health, metrics and version need none', async () => {
  const status = async (path: string) => (await fetch(`${server.url}${path}`)).status;
  expect(await status('/v1/models')).toBe(401);
  for (const path of ['/health', '/health/live', '/metrics', '/version', '/openapi.json'])
    expect(await status(path)).toBe(200);
});
