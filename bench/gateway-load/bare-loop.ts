import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';

// What Node can do at best: a bare HTTP server that streams one event per token to every stream, `response.write` for each, as
// fast as the readers read. No parsing beyond the body's JSON, no text, no engine, no checks; the measure for the gateway.
//
//   --interval-us N   a round of one event per stream every N microseconds (default 0: as fast as it goes)
//
// Prints `http://127.0.0.1:PORT` when it listens. Answers requests that are not streamed with a fixed body.

const { values: flags } = parseArgs({ options: { 'interval-us': { type: 'string', default: '0' } } });
const intervalMs = Number(flags['interval-us']) / 1000;

const HEAD = '{"id":"chatcmpl-req-100000","object":"chat.completion.chunk","created":1795521723,"model":"llama-3.1-8b"';
const EVENT =
  `data: ${HEAD},"system_fingerprint":null,"choices":[{"index":0,"delta":{"content":" word"},` +
  `"logprobs":null,"finish_reason":null}]}\n\n`;
const BODY =
  `${HEAD},"system_fingerprint":null,"choices":[{"index":0,"message":{"role":"assistant","content":" word","refusal":null},` +
  '"logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":30,"completion_tokens":1,' +
  '"total_tokens":31,"prompt_tokens_details":{"cached_tokens":0}}}';

interface Stream {
  readonly response: ServerResponse;
  readonly stepTimes: boolean;
  left: number;
}

let streams: Stream[] = [];
let running = false;
let nextRoundMs = 0;

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => answer(request, response, JSON.parse(Buffer.concat(parts).toString())));
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  body: { stream?: boolean; max_tokens: number },
): void {
  if (body.stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': BODY.length });
    response.end(BODY);
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  const stepTimes = request.headers['x-twinfer-step-times'] === '1';
  streams.push({ response, stepTimes, left: body.max_tokens });
  if (running) return;
  running = true;
  nextRoundMs = performance.now();
  setImmediate(turn);
}

function turn(): void {
  if (streams.length === 0) {
    running = false;
    return;
  }
  const waitMs = nextRoundMs - performance.now();
  if (intervalMs > 0 && waitMs > 0) {
    if (waitMs > 2) setTimeout(turn, Math.floor(waitMs) - 1);
    else setImmediate(turn);
    return;
  }
  nextRoundMs += intervalMs;
  round(Math.round(performance.now() * 1e6));
  setImmediate(turn);
}

/** One event to every stream whose reader keeps up. */
function round(nowNs: number): void {
  let ended = 0;
  for (const stream of streams) {
    const { response } = stream;
    if (response.destroyed) stream.left = 0;
    else if (response.writableNeedDrain) continue;
    else response.write(stream.stepTimes ? `: step-end ${nowNs}\n${EVENT}` : EVENT, 'latin1');
    if (--stream.left > 0) continue;
    ended++;
    if (!response.destroyed) response.end('data: [DONE]\n\n');
  }
  if (ended > 0) streams = streams.filter(({ left }) => left > 0);
}
