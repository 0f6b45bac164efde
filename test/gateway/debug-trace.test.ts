import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readTrace, requestSlices } from '../observability/timeline/read-trace.ts';
import {
  bodyOf,
  type CompletionBody,
  ENDLESS_TOKENS,
  type ErrorBody,
  openStream,
  post,
} from '../support/http-calls.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';
import { eventually } from '../support/until.ts';

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

function ask(at: TestServer, path: string, method = 'POST', key = at.adminKey): Promise<Response> {
  return fetch(`${at.url}${path}`, { method, headers: { authorization: `Bearer ${key}` } });
}

/** A request that begins and ends while a trace is taken. On a busy machine a second may be too short for that. */
async function tracedWhole(at: TestServer, body: object): Promise<{ id: string; response: Response }> {
  for (let seconds = 1; ; seconds = Math.min(2 * seconds, 60)) {
    let over = false;
    const tracing = ask(at, `/debug/trace?seconds=${seconds}`).finally(() => {
      over = true;
    });
    const { id } = await bodyOf<CompletionBody>(post(at, body));
    const whole = !over;
    const response = await tracing;
    if (whole) return { id, response };
    await response.text();
  }
}

describe('POST /debug/trace', () => {
  it('answers with a trace of what ran meanwhile, whole requests and such that go on, by the names that clients know', async () => {
    const at = await start();
    const before = await openStream(at, ENDLESS);
    await before.next();
    const { id, response } = await tracedWhole(at, { ...ENDLESS, max_tokens: 8, seed: 4 });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="twinfer-trace-\d+\.json"$/);
    const trace = readTrace(await response.text());
    expect(trace.about).toMatchObject({
      asked_seconds: expect.any(Number),
      complete: true,
      backend: 'simulated',
      sequences: 2,
    });
    const steps = trace.tracks.get('engine/steps')!;
    expect(steps.length).toBeGreaterThan(10);
    const slices = requestSlices(trace);
    expect(slices.get(id)![0]!.args).toMatchObject({ finish_reason: 'length', output_tokens: 8 });
    const [other] = [...slices.keys()].filter((name) => name !== id);
    expect(slices.get(other!)![0]!.args).toMatchObject({ goes_on: true });
    for (const { args } of steps) {
      const requests = args['requests'] as string[];
      expect(args['sequence_lengths']).toHaveLength(requests.length);
      expect([id, other]).toEqual(expect.arrayContaining(requests));
    }
    const lengths = steps.map(({ args }) => (args['sequence_lengths'] as number[])[0]!);
    expect(lengths).toEqual(lengths.map((_, i) => lengths[0]! + i));
  });

  it('of an idle engine is a trace without steps', async () => {
    const at = await start();
    const trace = readTrace(await (await ask(at, '/debug/trace?seconds=0.05')).text());
    expect(trace.about).toMatchObject({ steps: 0, sequences: 0, complete: true });
  });

  it('refuses other lengths and other words, by name', async () => {
    const at = await start();
    const refused = [
      ['', 'seconds: is missing'],
      ['?seconds=', 'seconds: "" is not allowed'],
      ['?seconds=0', 'seconds: "0" is not allowed'],
      ['?seconds=-1', 'seconds: "-1" is not allowed'],
      ['?seconds=60.5', 'seconds: "60.5" is not allowed'],
      ['?seconds=NaN', 'seconds: "NaN" is not allowed'],
      ['?seconds=Infinity', 'seconds: "Infinity" is not allowed'],
      ['?seconds=1&seconds=2', 'seconds: a list of 2 is not allowed'],
      ['?second=1', 'second'],
      ['?seconds=1&rows=all', 'rows'],
    ] as const;
    for (const [query, message] of refused) {
      const { error } = await bodyOf<ErrorBody>(ask(at, `/debug/trace${query}`), 400);
      expect([query, error]).toEqual([query, expect.objectContaining({ type: 'invalid_request_error' })]);
      expect(error.message).toContain(message);
    }
  });

  it('wants an admin key', async () => {
    const at = await start();
    expect((await ask(at, '/debug/trace?seconds=1', 'POST', at.key)).status).toBe(403);
    expect((await ask(at, '/debug/trace?seconds=1', 'POST', 'wrong')).status).toBe(401);
    expect((await ask(at, '/debug/trace?seconds=1', 'GET')).status).toBe(405);
  });

  it('is one at a time, and ends when its client leaves', async () => {
    const at = await start();
    const socket = connect(at.port, '127.0.0.1');
    socket.write(
      `POST /debug/trace?seconds=60 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${at.adminKey}\r\n\r\n`,
    );
    await eventually(async () => {
      const { error } = await bodyOf<ErrorBody>(ask(at, '/debug/trace?seconds=0.01'), 409);
      expect(error.code).toBe('trace_running');
    });
    socket.destroy();
    await eventually(async () => expect((await ask(at, '/debug/trace?seconds=0.01')).status).toBe(200));
  });

  it('answers with an error when the engine goes down, and works again with the next one', async () => {
    const at = await start({ watchdog: { restartMs: 50 } });
    const tracing = ask(at, '/debug/trace?seconds=60');
    const again = ask(at, '/debug/trace?seconds=60');
    expect((await Promise.race([tracing, again])).status).toBe(409);
    at.serving.link.kill();
    const statuses = [(await tracing).status, (await again).status].sort();
    expect(statuses).toEqual([409, 503]);
    await eventually(async () => expect((await ask(at, '/debug/trace?seconds=0.01')).status).toBe(200));
  });
});

describe('GET /debug/slow_steps', () => {
  interface SlowSteps {
    readonly factor: number;
    readonly median_ms: number | null;
    readonly steps_seen: number;
    readonly slow_steps: readonly {
      readonly times_median: number;
      readonly prefill_tokens: number;
      readonly rows: readonly { readonly request: string; readonly context: number; readonly tokens: number }[];
    }[];
  }
  const slowSteps = (at: TestServer) => bodyOf<SlowSteps>(ask(at, '/debug/slow_steps', 'GET'));

  it('has nothing to say of an engine that has done nothing', async () => {
    expect(await slowSteps(await start())).toEqual({ factor: 8, median_ms: null, steps_seen: 0, slow_steps: [] });
  });

  it('keeps a step that took much longer than the others, with who was in it', async () => {
    const at = await start({ timeScale: 0, watchdog: { slowStepFactor: 3 } });
    await bodyOf(post(at, { ...ENDLESS, max_tokens: 200 }));
    const { id } = await bodyOf<CompletionBody>(
      post(at, { prompt: 'a long story '.repeat(400), max_tokens: 1, seed: 2 }),
    );
    const { factor, slow_steps, median_ms, steps_seen } = await slowSteps(at);
    expect(factor).toBe(3);
    expect(median_ms).toBeGreaterThan(0);
    expect(steps_seen).toBeGreaterThan(200);
    expect(slow_steps[0]!.times_median).toBeGreaterThan(3);
    const rows = slow_steps.flatMap((step) => step.rows).filter(({ request }) => request === id);
    expect(rows.reduce((sum, { tokens }) => sum + tokens, 0)).toBeGreaterThan(4000);
    for (const { prefill_tokens, rows: all } of slow_steps.filter((step) => step.prefill_tokens > 0)) {
      expect(prefill_tokens).toBe(all.reduce((sum, { tokens }) => sum + tokens, 0));
    }
  });

  it('wants an admin key and no query', async () => {
    const at = await start();
    expect((await ask(at, '/debug/slow_steps', 'GET', at.key)).status).toBe(403);
    expect((await ask(at, '/debug/slow_steps?n=1', 'GET')).status).toBe(400);
  });
});
