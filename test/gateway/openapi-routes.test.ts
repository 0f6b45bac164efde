import { Errors } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type OpenApiDocument, openApiOf, operationOf, undocumented } from '../support/openapi.ts';
import { type RegisteredRoute, watchRoutes } from '../support/registered-routes.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

let server: TestServer;
let document: OpenApiDocument;
let routes: readonly RegisteredRoute[];

beforeAll(async () => {
  ({ started: server, routes } = await watchRoutes(startTestServer));
  document = await openApiOf(server.url);
});

afterAll(async () => {
  await server.close();
});

async function ask(method: string, path: string, body?: object): Promise<Answer> {
  const admin = path.startsWith('/admin/') || path.startsWith('/debug/');
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${admin ? server.adminKey : server.key}`,
      ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
    },
    ...(method === 'POST' ? { body: JSON.stringify(body ?? {}) } : {}),
  });
  const type = response.headers.get('content-type') ?? '';
  const text = await response.text();
  return { status: response.status, type, body: type.includes('json') ? JSON.parse(text) : text };
}

const MESSAGES = [{ role: 'user', content: 'hi' }];
const CALLS: readonly (readonly [method: string, path: string, status: number, body?: object])[] = [
  ['post', '/v1/chat/completions', 200, { messages: MESSAGES, max_tokens: 3, n: 2, logprobs: true, top_logprobs: 2 }],
  ['post', '/v1/chat/completions', 200, { messages: MESSAGES, max_tokens: 3, return_token_ids: true }],
  ['post', '/v1/chat/completions', 400, { messages: 5 }],
  ['post', '/v1/completions', 200, { prompt: ['a', 'b'], max_tokens: 3, logprobs: 2, echo: true }],
  ['post', '/v1/completions', 200, { prompt: 'abc', max_tokens: 0, logprobs: 1, echo: true }],
  ['post', '/v1/completions', 404, { prompt: 'a', model: 'nope' }],
  ['post', '/generate', 200, { prompt: 'a', max_tokens: 3, stream: false, logprobs: 1 }],
  ['post', '/generate', 400, { prompt: 5 }],
  ['post', '/v1/embeddings', 501],
  ['post', '/tokenize', 200, { prompt: 'abc', return_token_strs: true }],
  ['post', '/tokenize', 200, { messages: MESSAGES }],
  ['post', '/tokenize', 200, { content: 'abc' }],
  ['post', '/tokenize', 200, { content: 'abc', with_pieces: true }],
  ['post', '/detokenize', 200, { tokens: [97, 98] }],
  ['post', '/detokenize', 200, { model: 'twin', tokens: [] }],
  ['post', '/detokenize', 400, { tokens: [-1] }],
  ['get', '/v1/models', 200],
  ['get', '/health', 200],
  ['get', '/health/live', 200],
  ['get', '/metrics', 200],
  ['get', '/version', 200],
  ['get', '/load', 200],
  ['get', '/openapi.json', 200],
  ['get', '/dashboard', 200],
  ['post', '/admin/reset_prefix_cache', 200],
  ['post', '/admin/check', 200],
  ['post', '/admin/abort', 200, { all: true }],
  ['post', '/admin/abort', 400, {}],
  ['post', '/admin/faults', 400, { kind: 'rain' }],
  ['get', '/debug/slow_steps', 200],
  ['post', '/debug/trace', 400],
  ['get', '/debug/alerts', 200],
  ['get', '/debug/state', 200],
  ['post', '/debug/audit', 200],
  ['get', '/debug/leaks', 200],
  ['get', '/debug/flight_recorder', 200],
  ['post', '/debug/profile/start', 501],
  ['post', '/debug/profile/stop', 501],
];

describe('the server does what its OpenAPI document says', () => {
  it.each(
    CALLS.map(
      ([method, path, status, body]) =>
        [`${method} ${path} answers ${status}`, { method, path, status, body }] as const,
    ),
  )('%s', async (_name, { method, path, status, body }) => {
    const answer = await ask(method.toUpperCase(), path, body);
    expect(answer.status).toBe(status);
    expect(undocumented(document, method, path, answer)).toEqual([]);
  });

  it('names one of its models by its path', async () => {
    expect(undocumented(document, 'GET', '/v1/models/twin', await ask('GET', '/v1/models/twin'))).toEqual([]);
  });

  it('has every path that the document has', async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods)) {
        // An order without its arguments; no drain, since the server is wanted afterwards, and nothing without an end.
        if (path === '/admin/drain' || path === '/dashboard/stream') continue;
        const { body } = await ask(
          method.toUpperCase(),
          path.replace('{model}', 'twin').replace('{id}', 'x').replace('{block}', '0'),
        );
        const code = (body as { error?: { code?: string } }).error?.code;
        expect(['unknown_url', 'method_not_allowed'], `${method} ${path}`).not.toContain(code);
      }
    }
  });

  it('has no route that the document lacks, and wants a key where the document says so', async () => {
    const lacking: string[] = [];
    for (const { method, path, url } of routes) {
      const operation = operationOf(document, method, path);
      if (operation === null) lacking.push(`${method} ${url}`);
      if (operation === null || url === '/dashboard/stream') continue;
      const { status } = await fetch(`${server.url}${path}`, { method });
      expect(status === 401, `${method} ${url}`).toBe(operation.security.length > 0);
    }
    expect(lacking).toEqual([]);
  });

  it('streams events that the document knows', async () => {
    for (const [path, event, body] of [
      ['/v1/chat/completions', 'ChatCompletionChunk', { messages: MESSAGES, logprobs: true }],
      ['/v1/completions', 'CompletionChunk', { prompt: 'hi', echo: true }],
      ['/generate', 'GenerateEvent', { prompt: 'hi' }],
    ] as const) {
      const usage = { stream: true, stream_options: { include_usage: true }, max_tokens: 4 };
      const { type, body: text } = await ask('POST', path, { ...body, ...usage });
      expect(type).toContain('text/event-stream');
      const events = [...(text as string).matchAll(/^data: (.*)$/gm)].map((match) => match[1]!);
      expect(events.pop()).toBe('[DONE]');
      expect(events.length).toBeGreaterThan(4);
      const schema = document.components.schemas[event]!;
      expect(
        events.flatMap((each) => Errors(schema, JSON.parse(each)).map(({ message }) => `${event}: ${message}`)),
      ).toEqual([]);
    }
  });
});
