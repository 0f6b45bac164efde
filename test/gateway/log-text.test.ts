import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, describe, expect, it } from 'vitest';
import { Guard } from '../../src/gateway/guard.ts';
import { logOptions } from '../../src/gateway/limits/log-options.ts';
import { RequestNames } from '../../src/gateway/request-names.ts';
import { engineLogs, StallReporter } from '../../src/runtime/serving/engine-logs.ts';
import { connectTo, post, until } from '../support/http-calls.ts';
import { apiKey, startTestServer, type TestServer } from '../support/test-server.ts';

/** What a client writes and no log line may hold. It could be a header, a path or a name of a field. */
const CANARY = 'Kanarienvogel.im.Bergwerk';
const scratch = mkdtempSync(join(tmpdir(), 'twinfer-log-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface OpenApi {
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties?: Readonly<object> }>> };
}

const ENDPOINTS = ['/v1/chat/completions', '/v1/completions', '/generate', '/tokenize', '/detokenize'];

/** Names of all fields of requests, from the server's own document. */
async function knownFields(at: TestServer): Promise<readonly string[]> {
  const { components } = (await (await fetch(`${at.url}/openapi.json`)).json()) as OpenApi;
  const names = new Set<string>();
  for (const [name, { properties = {} }] of Object.entries(components.schemas))
    if (name.endsWith('Request')) for (const field of Object.keys(properties)) names.add(field);
  return [...names];
}

const VALUES = [CANARY, [CANARY], { [CANARY]: CANARY }, [{ role: CANARY, content: [{ type: CANARY, text: CANARY }] }]];

/** The canary wherever a body may hold it: the value of each field, inside lists and objects, as a name, in text that is no JSON. */
function bodies(fields: readonly string[]): string[] {
  const plain = { prompt: CANARY, messages: [{ role: 'user', content: CANARY }], max_tokens: 1 };
  const one = JSON.stringify(plain);
  return [
    one,
    one.slice(0, -1),
    `${one}${CANARY}`,
    `"${CANARY}"`,
    CANARY,
    ...fields.map((field, index) => JSON.stringify({ ...plain, [field]: VALUES[index % VALUES.length] })),
    ...VALUES.map((value) => JSON.stringify(Object.fromEntries(fields.map((field) => [field, value])))),
    JSON.stringify({ ...plain, [CANARY]: 1, nested: { [CANARY]: [CANARY] } }),
    JSON.stringify({ ...plain, user: CANARY, request_id: CANARY, cache_salt: CANARY, stop: [CANARY], model: CANARY }),
    JSON.stringify({ ...plain, stream: true, request_id: CANARY }),
  ];
}

/** Requests that are wrong as HTTP. */
const BROKEN = [
  `GET /${CANARY} HTTP/9.9\r\n\r\n`,
  `${CANARY} / HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: ${CANARY}\r\n\r\n`,
  `POST /v1/completions HTTP/1.1\r\nhost: a\r\n${CANARY} : x\r\n\r\n`,
  `POST /v1/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: ${CANARY}\r\n\r\n${CANARY}`,
  `GET /%zz${CANARY} HTTP/1.1\r\nhost: ${CANARY}\r\nconnection: close\r\n\r\n`,
];

async function sendAll(at: TestServer): Promise<number> {
  let sent = 0;
  const send = async (path: string, body: string | null, headers: Record<string, string>) => {
    const given = { authorization: `Bearer ${at.key}`, 'content-type': 'application/json', ...headers };
    const response = await fetch(`${at.url}${path}`, { method: body === null ? 'GET' : 'POST', headers: given, body });
    await response.text();
    sent++;
  };
  const sentBodies = bodies(await knownFields(at));
  for (const path of ENDPOINTS) for (const body of sentBodies) await send(path, body, {});
  const body = JSON.stringify({ prompt: 'a', max_tokens: 1 });
  const headers = [
    'x-request-id',
    'authorization',
    'x-api-key',
    'content-type',
    'user-agent',
    'origin',
    'cookie',
    'accept',
  ];
  headers.push(
    'x-request-timeout-ms',
    'idempotency-key',
    'x-stainless-retry-count',
    'traceparent',
    'tracestate',
    CANARY,
  );
  for (const header of headers) await send('/v1/completions', body, { [header]: CANARY });
  for (const path of [
    `/${CANARY}`,
    `/v1/models/${CANARY}`,
    `/debug/requests/${CANARY}`,
    `/v1/models?${CANARY}=${CANARY}`,
  ])
    for (const sentBody of [null, body]) await send(path, sentBody, { authorization: `Bearer ${at.adminKey}` });
  for (const bytes of BROKEN) {
    const { socket, closed } = await connectTo(at);
    socket.end(bytes);
    await closed;
    sent++;
  }
  return sent;
}

describe('the log', () => {
  it('holds nothing that a client wrote, in whatever field, header, path or malformed request', async () => {
    const logFile = join(scratch, 'server.log');
    const keys = [apiKey('tenant', CANARY)];
    const at = await startTestServer({ logFile, logLevel: 'debug', keys });
    try {
      expect(await sendAll(at)).toBeGreaterThan(300);
      // The engine's own lines name requests.
      const whole = post(at, { prompt: CANARY, max_tokens: 100_000, ignore_eos: true, request_id: CANARY });
      await until(at.load, (page) => page.live_requests === 1);
      at.serving.link.kill();
      await (await whole).text();
    } finally {
      await at.close();
    }
    const text = readFileSync(logFile, 'utf8');
    expect(text).toContain('unknown request fields are ignored');
    expect(text).toContain('engine crashed');
    expect(text.split('\n').filter((line) => line.includes(CANARY))).toEqual([]);
  });

  it("names requests in the engine's lines by ids, or by the hash of what is none", async () => {
    let text = '';
    const log = pino(logOptions('debug'), {
      write: (line: string) => {
        text += line;
      },
    });
    const names = new RequestNames();
    names.add(1, `cmpl-${CANARY}`, CANARY, 1);
    names.add(2, 'cmpl-req-2', 'req-2', 1);
    engineLogs(log, names).onLog!({
      level: 'warn',
      message: 'a slow phase',
      fields: { rows: [{ request: 1 }, { request: 2 }] },
    });
    const view = { text: 'request 1 waits for request 2' };
    const link = { stalledMs: 9000, silentMs: 1, status: {}, admin: () => Promise.resolve(view) };
    const guard = new Guard(() => {});
    new StallReporter({ link: link as never, stallMs: 5000, engineAnswerMs: 1000, log, names, guard }).look();
    await Promise.resolve();
    expect(text).not.toContain(CANARY);
    expect(text).toMatch(/stalled: sha256-[0-9a-f]{16} waits for cmpl-req-2/);
  });
});
