import { Agent, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { generatedRequest, HOSTILE } from './costly-requests.ts';
import { postJson, textOf } from './post-json.ts';
import { uniform } from './uniform.ts';

/** What a client does to a server; see `ROUGH_SHARES`. */
export type Manner =
  | 'whole'
  | 'stream'
  | 'hang up in stream'
  | 'hang up before answer'
  | 'slow reader'
  | 'bad body'
  | 'truncated body'
  | 'no http'
  | 'hostile';

/** How it ended for the client: `broken` is what must not happen, everything else may; `attacked`: a hostile request, whatever it got. */
export type Ending = 'completed' | 'refused' | 'overloaded' | 'hung up' | 'cut off' | 'attacked' | 'broken';

export interface RoughTarget {
  readonly port: number;
  /** null: the server wants none. */
  readonly key: string | null;
  /** Every N-th request is hostile, under a key of its own; null or left out: none is. */
  readonly attacker?: Attacker | null;
}

interface Attacker {
  readonly key: string;
  readonly every: number;
}

export interface RoughOutcome {
  readonly manner: Manner;
  readonly ending: Ending;
  /** What was broken. */
  readonly detail: string;
}

/** Of a thousand requests. */
const ROUGH_SHARES: readonly (readonly [Exclude<Manner, 'hostile'>, number])[] = [
  ['whole', 300],
  ['stream', 295],
  ['hang up in stream', 150],
  ['hang up before answer', 100],
  ['slow reader', 5],
  ['bad body', 100],
  ['truncated body', 25],
  ['no http', 25],
];

const BAD_BODIES: readonly string[] = [
  '{"messages": [',
  '[]',
  'null',
  '{"messages": "hello"}',
  '{"messages": [{"role": "user", "content": "x"}], "max_tokens": -1}',
  '{"messages": [{"role": "user", "content": "x"}], "temperature": 1e400}',
  '{"messages": [{"role": "user", "content": "x"}], "n": 1.5}',
  '{"messages": [{"role": "user", "content": "x"}], "model": "gpt-x"}',
  `${'['.repeat(5000)}${']'.repeat(5000)}`,
  '\u0000',
];
const NO_HTTP: readonly string[] = [
  'GET / HTTP/9.9\r\n\r\n',
  'hello\r\n\r\n',
  'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n',
];

/** An answer that does not fit into the kernel's buffers, so that only a reader that reads can have all of it. */
const SLOW_TOKENS = 6000;
const PATH = '/v1/chat/completions';

/** Well and badly behaved clients, drawn from a seed: request `index` does the same whenever it is made. */
export class RoughClient {
  private readonly target: RoughTarget;
  private readonly seed: number;
  private readonly pause: (resume: () => void) => void;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  /** `pause` gets what lets a slow reader read on, and calls it sometime. */
  constructor(target: RoughTarget, seed: number, pause: (resume: () => void) => void) {
    this.target = target;
    this.seed = seed;
    this.pause = pause;
  }

  close(): void {
    this.agent.destroy();
  }

  async ask(index: number): Promise<RoughOutcome> {
    const draw = uniform(Math.imul(this.seed, 0x9e3779b1) ^ index);
    const drawn = mannerOf(draw());
    const { attacker = null } = this.target;
    const manner = attacker !== null && index % attacker.every === 0 ? 'hostile' : drawn;
    const [ending, detail] = await (manner === 'hostile'
      ? this.attack(attacker!, index)
      : this.act(manner, draw)
    ).catch((error: unknown): [Ending, string] => ['broken', String(error)]);
    return { manner, ending, detail };
  }

  /** A costly request under the attacker's key, one in forty of those that an attack was made of. */
  private async attack({ key, every }: Attacker, index: number): Promise<[Ending, string]> {
    const attack = index / every;
    const named = attack % 40 === 0 ? HOSTILE[(attack / 40) % HOSTILE.length]! : null;
    const costly = named ?? generatedRequest(this.seed, index);
    try {
      const answer = await postJson(costly.path, costly.body(), { port: this.target.port, key, agent: this.agent });
      for await (const _ of answer);
      return answer.statusCode === 500 ? ['broken', `${costly.name} got 500`] : ['attacked', ''];
    } catch {
      // A body above the limit is refused before all of it is read, and the connection closed.
      return ['attacked', ''];
    }
  }

  private act(manner: Exclude<Manner, 'hostile'>, draw: () => number): Promise<[Ending, string]> {
    const tokens = 1 + Math.floor(draw() * 64);
    const n = draw() < 0.1 ? 3 : 1;
    const prompt = `${'word '.repeat(1 + Math.floor(draw() * 40))}${Math.floor(draw() * 8)}`;
    const messages = [{ role: 'user', content: prompt }];
    const body = { messages, max_tokens: tokens, ignore_eos: true, n };
    const hurry = Math.floor(draw() * 10);
    switch (manner) {
      case 'whole':
        return this.whole(body);
      case 'stream':
        return this.stream({ ...body, stream: true }, tokens * n, n);
      case 'hang up in stream':
        return this.hangUp({ ...body, max_tokens: 2000, stream: true }, true, hurry);
      case 'hang up before answer':
        return this.hangUp({ ...body, max_tokens: 2000 }, false, hurry);
      case 'slow reader':
        return this.readSlowly({
          messages,
          max_tokens: SLOW_TOKENS,
          ignore_eos: true,
          stream: true,
          logprobs: true,
          top_logprobs: 20,
        });
      case 'bad body':
        return this.bad(BAD_BODIES[Math.floor(draw() * BAD_BODIES.length)]!);
      case 'truncated body': {
        const text = JSON.stringify(body);
        return this.raw(`${this.head(text.length + 10)}${text}`, 0, true);
      }
      case 'no http':
        return this.raw(NO_HTTP[Math.floor(draw() * NO_HTTP.length)]!, 400, false);
    }
  }

  private async whole(body: object): Promise<[Ending, string]> {
    const answer = await this.post(JSON.stringify(body));
    const text = await textOf(answer);
    const refused = overloadOf(answer, text);
    if (refused !== null) return refused;
    const { choices, usage } = JSON.parse(text) as {
      choices: { finish_reason: string }[];
      usage: { completion_tokens: number };
    };
    const { n, max_tokens } = body as { n: number; max_tokens: number };
    const good =
      choices.length === n &&
      choices.every((c) => c.finish_reason === 'length') &&
      usage.completion_tokens === n * max_tokens;
    return good ? ['completed', ''] : ['broken', `not what was asked for: ${text.slice(0, 300)}`];
  }

  private async stream(body: object, tokens: number, n: number): Promise<[Ending, string]> {
    const answer = await this.post(JSON.stringify(body));
    const text = await textOf(answer);
    const refused = overloadOf(answer, text);
    return refused ?? streamEnding(text, tokens, n);
  }

  /** Leaves after `hurry` reads, or turns of the event loop where there is nothing to read. */
  private async hangUp(body: object, streamed: boolean, hurry: number): Promise<[Ending, string]> {
    if (streamed) {
      const answer = await this.post(JSON.stringify(body));
      if (answer.statusCode !== 200) return overloadOf(answer, await textOf(answer))!;
      let reads = 0;
      for await (const _ of answer) if (reads++ === hurry) break;
      answer.destroy();
      return ['hung up', ''];
    }
    const abort = new AbortController();
    const pending = this.post(JSON.stringify(body), abort.signal).then(
      async (answer) => overloadOf(answer, await textOf(answer)) ?? (['completed', ''] as [Ending, string]),
    );
    const left = pending.catch((): [Ending, string] => ['hung up', '']);
    for (let turn = 0; turn < hurry; turn++) await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    return left;
  }

  private async bad(body: string): Promise<[Ending, string]> {
    const answer = await this.post(body);
    const text = await textOf(answer);
    const status = answer.statusCode!;
    const shaped = status >= 400 && status < 500 && (JSON.parse(text) as { error?: unknown }).error !== undefined;
    return shaped ? ['refused', ''] : ['broken', `bad body got ${status} ${text.slice(0, 300)}`];
  }

  /** Stops reading after the first bytes, for long enough to fill all buffers, then reads what there is. */
  private readSlowly(body: object): Promise<[Ending, string]> {
    const text = JSON.stringify(body);
    const socket = connect({ port: this.target.port, host: '127.0.0.1' });
    socket.write(`${this.head(text.length)}${text}`);
    let first = '';
    let tail = '';
    return new Promise((resolve) => {
      const end = (): void => {
        socket.destroy();
        const status = Number(first.slice(9, 12));
        if (status === 429 || status === 503) resolve(['overloaded', '']);
        else if (status !== 200) resolve(['broken', `a slow reader got ${first.slice(0, 200)}`]);
        else resolve([tail.includes('data: [DONE]') ? 'completed' : 'cut off', '']);
      };
      socket.on('data', (part: Buffer) => {
        if (first === '') {
          first = part.toString('latin1');
          socket.pause();
          this.pause(() => socket.resume());
        }
        tail = (tail + part.toString('latin1')).slice(-64);
        if (tail.endsWith('0\r\n\r\n')) end();
      });
      // Cut off while data was on its way: the system's end of the connection.
      socket.on('error', () => {});
      socket.on('close', end);
    });
  }

  /** Bytes as they are. `status`: what is to be answered; 0: nobody waits for an answer. */
  private raw(text: string, status: number, leave: boolean): Promise<[Ending, string]> {
    const socket = connect({ port: this.target.port, host: '127.0.0.1' });
    let answer = '';
    return new Promise((resolve) => {
      socket.on('data', (part: Buffer) => {
        answer += part.toString('latin1');
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        if (leave) resolve(['hung up', '']);
        else if (answer.startsWith(`HTTP/1.1 ${status} `)) resolve(['refused', '']);
        else resolve(['broken', `${JSON.stringify(text.slice(0, 60))} got ${JSON.stringify(answer.slice(0, 200))}`]);
      });
      socket.write(text, () => {
        if (leave) socket.destroy();
      });
    });
  }

  private head(length: number): string {
    const { key } = this.target;
    const authorization = key === null ? '' : `authorization: Bearer ${key}\r\n`;
    return `POST ${PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\n${authorization}content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
  }

  private post(body: string, signal?: AbortSignal): Promise<IncomingMessage> {
    const { port, key } = this.target;
    return postJson(PATH, body, { port, key, agent: this.agent, ...(signal === undefined ? {} : { signal }) });
  }
}

function mannerOf(share: number): Exclude<Manner, 'hostile'> {
  let left = 1000 * share;
  for (const [manner, weight] of ROUGH_SHARES) {
    if (left < weight) return manner;
    left -= weight;
  }
  return 'whole';
}

/** null: the status is 200. */
function overloadOf(answer: IncomingMessage, text: string): [Ending, string] | null {
  if (answer.statusCode === 200) return null;
  if (answer.statusCode === 429 || answer.statusCode === 503) return ['overloaded', ''];
  return ['broken', `${answer.statusCode} ${text.slice(0, 300)}`];
}

/** Each token once, each choice ended once, one end of the stream and nothing behind it. */
function streamEnding(text: string, tokens: number, n: number): [Ending, string] {
  const ends = text.match(/"finish_reason":"length"/g)?.length ?? 0;
  const contents = text.match(/"delta":\{"content":/g)?.length ?? 0;
  const done = text.indexOf('data: [DONE]\n\n');
  if (ends === n && contents === tokens && done >= 0 && done === text.length - 14) return ['completed', ''];
  return ['broken', `${contents} of ${tokens} tokens, ${ends} of ${n} ends, done at ${done} of ${text.length}`];
}
