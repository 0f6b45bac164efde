import { type Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { TestServer } from './test-server.ts';

export { until } from './until.ts';

/** What tests send to a server and read from it, without a client's help. */

/** Longer than any test waits, on a server that runs in real time: about 12 minutes of an H100. */
export const ENDLESS_TOKENS = 100_000;

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export interface UsageBody {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** A whole completion, or an event of one: what tests read of it. */
export interface CompletionBody {
  readonly id: string;
  readonly choices: readonly {
    readonly index: number;
    readonly text: string;
    readonly finish_reason: string | null;
    readonly token_ids?: readonly number[];
    readonly prompt_token_ids?: readonly number[];
    readonly delta?: { readonly role?: string; readonly content?: string };
  }[];
  readonly usage?: UsageBody;
}

export interface CallOptions {
  readonly key?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** POSTs a body; /v1/completions unless told. */
export function post(server: TestServer, body: object, options: CallOptions = {}): Promise<Response> {
  const { key = server.key, path = '/v1/completions', headers = {}, signal } = options;
  return fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** The answer's body where the status is `status`; throws it otherwise. */
export async function bodyOf<T>(response: Response | Promise<Response>, status = 200): Promise<T> {
  const answer = await response;
  const text = await answer.text();
  if (answer.status !== status) throw new Error(`expected ${status}, got ${answer.status}: ${text}`);
  return JSON.parse(text) as T;
}

/** A stream of events that is read one by one. */
export class EventStream {
  readonly response: Response;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly decoder = new TextDecoder();
  private text = '';

  constructor(response: Response) {
    this.response = response;
    this.reader = response.body!.getReader();
  }

  /** Data of the next event; null at the end of the response. Throws where the connection breaks, and for what is no event. */
  async next(): Promise<string | null> {
    for (;;) {
      const end = this.text.indexOf('\n\n');
      if (end >= 0) {
        const event = this.text.slice(0, end);
        this.text = this.text.slice(end + 2);
        if (!event.startsWith('data: ')) throw new Error(`no event: ${event.slice(0, 200)}`);
        return event.slice('data: '.length);
      }
      const { done, value } = await this.reader.read();
      if (!done) this.text += this.decoder.decode(value, { stream: true });
      else if (this.text === '') return null;
      else throw new Error(`the stream ends inside an event: ${this.text.slice(0, 200)}`);
    }
  }

  /** Data of all events that are still to come. */
  async rest(): Promise<string[]> {
    const events: string[] = [];
    for (let event = await this.next(); event !== null; event = await this.next()) events.push(event);
    return events;
  }

  /** Hangs up. */
  cancel(): Promise<void> {
    return this.reader.cancel();
  }
}

/** Opens a stream of a completion; throws the answer where its status is not 200. */
export async function openStream(server: TestServer, body: object, options: CallOptions = {}): Promise<EventStream> {
  const response = await post(server, { ...body, stream: true }, options);
  if (response.status !== 200) throw new Error(`expected 200, got ${response.status}: ${await response.text()}`);
  return new EventStream(response);
}

/** The text of a stream's events, which must be complete: one choice, an end, [DONE]. */
export function streamedText(events: readonly string[]): string {
  if (events.at(-1) !== '[DONE]') throw new Error(`the stream does not end with [DONE] but ${events.at(-1)}`);
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event) as CompletionBody & Partial<ErrorBody>);
  const failure = chunks.find((chunk) => chunk.error !== undefined);
  if (failure !== undefined) throw new Error(`error in the stream: ${failure.error!.message}`);
  return chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('');
}

/** Samples of /metrics by name and labels as they are written there. */
export async function metricsOf(server: TestServer): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}

/** Calls that came, and how they ended, as /metrics counts them. */
export async function callCounts(server: TestServer): Promise<{ received: number; ended: Record<string, number> }> {
  const samples = await metricsOf(server);
  const ended: Record<string, number> = {};
  let received = Number.NaN;
  for (const [name, value] of samples) {
    const outcome = /gateway_requests_total\{.*outcome="([a-z_]+)"/.exec(name)?.[1];
    if (outcome !== undefined) ended[outcome] = value;
    if (/gateway_requests_received_total(\{|$)/.test(name)) received = value;
  }
  return { received, ended };
}

/** A request's bytes as HTTP/1.1, or with the version given. */
export function requestBytes(
  server: TestServer,
  path: string,
  body: object | null,
  options: { version?: string; method?: string; headers?: string } = {},
): string {
  const { version = '1.1', method = body === null ? 'GET' : 'POST', headers = '' } = options;
  const text = body === null ? '' : JSON.stringify(body);
  const length =
    body === null ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`;
  return `${method} ${path} HTTP/${version}\r\nhost: localhost\r\nauthorization: Bearer ${server.key}\r\n${length}${headers}\r\n${text}`;
}

export interface RawConnection {
  readonly socket: Socket;
  /** What has come so far, one character a byte. */
  readonly received: () => string;
  /** Resolves when the connection is closed, however. */
  readonly closed: Promise<void>;
}

/** A connection whose bytes the test writes itself. */
export async function connectTo(server: TestServer): Promise<RawConnection> {
  const socket = connect(server.port, '127.0.0.1');
  let text = '';
  socket.on('data', (part: Buffer) => {
    text += part.toString('latin1');
  });
  // A connection that the server cuts may end with a reset: 'close' follows.
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('error', reject);
  });
  return { socket, received: () => text, closed };
}

export interface ExactRequest {
  readonly method: string;
  /** Sent as it is, where fetch would resolve `.` and `..`. */
  readonly path: string;
  /** Without `host`: the address. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent?: Agent;
}

export interface ExactAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Sends a request without a body, path and headers to the letter. */
export function sendExactly(server: TestServer, asked: ExactRequest): Promise<ExactAnswer> {
  const { method, path, headers = {}, agent } = asked;
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: server.port, method, path, headers, ...(agent === undefined ? {} : { agent }) },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}
