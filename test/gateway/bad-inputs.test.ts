import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenApiDocument, openApiOf, undocumented } from '../support/openapi.ts';
import { startTestServer, type TestServer, testServeConfig } from '../support/test-server.ts';
import { type BadInput, badInputs, type ServedFacts } from './bad-inputs.ts';
import { type BadSocket, badSockets, statusesIn } from './bad-sockets.ts';

const config = testServeConfig({});
const facts: ServedFacts = {
  model: config.modelNames[0]!,
  modelLenMax: 1024,
  vocabularySize: 260,
  bodyBytesMax: config.http.bodyBytesMax,
  bodyDepthMax: config.http.bodyDepthMax,
};

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ engine: { modelLenMax: facts.modelLenMax } });
  document = await openApiOf(server.url);
});

afterAll(async () => {
  await server.close();
});

let document: OpenApiDocument;
const undocumentedAnswers: string[] = [];

async function answerTo(input: BadInput): Promise<{ status: number; error: Record<string, unknown> }> {
  const body = input.body === null ? null : Buffer.from(input.body);
  // A buffer, so that fetch adds no content-type of its own.
  const response = await fetch(`${server.url}${input.path}`, {
    method: input.method,
    headers: { authorization: `Bearer ${server.key}`, ...input.headers },
    body,
  });
  const { status } = response;
  const answer = (await response.json()) as { error: Record<string, unknown> };
  const type = response.headers.get('content-type') ?? '';
  undocumentedAnswers.push(...undocumented(document, input.method, input.path, { status, type, body: answer }));
  return { status, error: answer.error };
}

function rawAnswerTo({ bytes, end }: BadSocket): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(server.port, '127.0.0.1', () => {
      if (end) socket.end(bytes);
      else socket.write(bytes);
    });
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      answer += text;
    });
    // A reset after the answer is as good as a close.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}

/** The server is alive and has forgotten the bad request. */
async function expectWell(): Promise<void> {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'hi', max_tokens: 2, ignore_eos: true }),
  });
  expect(response.status).toBe(200);
  expect((await response.json()) as object).toMatchObject({ usage: { completion_tokens: 2 } });
  expect(await server.idle()).toMatchObject({ kv_blocks_used: 0, engine_restarts: 0 });
}

describe('the server answers bad input with the right status and an error in the shape of OpenAI', () => {
  it.each(badInputs(facts).map((input, index) => [`${index} ${input.name}`, input] as const))(
    '%s',
    async (_name, input) => {
      const { status, error } = await answerTo(input);
      expect(input.status).toContain(status);
      expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
      if (input.code !== undefined) expect(error['code']).toBe(input.code);
      if (input.param !== undefined) expect(error['param']).toBe(input.param);
      expect(error['message']).toMatch(/^[\x20-\x7e]{5,400}$/);
    },
  );

  it('and is well afterwards', expectWell);

  it('with statuses and bodies that its OpenAPI document has', () => {
    expect(undocumentedAnswers).toEqual([]);
  });
});

describe('the server refuses bytes that are no request, once, and closes the connection', () => {
  it.each(badSockets(null).map((input, index) => [input.name, index] as const))('%s', async (_name, index) => {
    const input = badSockets(server.key)[index]!;
    const answer = await rawAnswerTo(input);
    const statuses = statusesIn(answer);
    expect(statuses.length).toBeLessThanOrEqual(1);
    for (const status of statuses) expect(input.statuses).toContain(status);
    if (statuses.length > 0) expect(answer).toContain('"error":{');
    const [, method = '', path = ''] = /^([A-Z]+) (\/\S*) /.exec(input.bytes.toString('latin1')) ?? [];
    const body: unknown = statuses.length === 0 ? null : JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
    for (const status of statuses)
      expect(undocumented(document, method, path, { status, type: 'application/json', body })).toEqual([]);
    expect(answer).not.toContain('max_model_len');
  });

  it('and is well afterwards', expectWell);
});
