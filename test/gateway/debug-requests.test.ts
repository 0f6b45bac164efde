import { afterEach, describe, expect, it } from 'vitest';
import type { RequestStory } from '../../src/observability/explain/index.ts';
import {
  bodyOf,
  type CompletionBody,
  ENDLESS_TOKENS,
  type ErrorBody,
  openStream,
  post,
  until,
} from '../support/http-calls.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function start(overrides: TestServerOverrides = {}): Promise<TestServer> {
  server = await startTestServer({ timeScale: 1, ...overrides });
  return server;
}

interface Explained {
  readonly id: string;
  readonly sequences: readonly (RequestStory & { readonly sentences: readonly string[] })[];
  readonly sequences_total: number;
}

const ENDLESS = { prompt: 'Rivers', seed: 3, max_tokens: ENDLESS_TOKENS, ignore_eos: true };

function ask(at: TestServer, id: string, key = at.adminKey): Promise<Response> {
  return fetch(`${at.url}/debug/requests/${id}`, { headers: { authorization: `Bearer ${key}` } });
}

describe('GET /debug/requests/ID', () => {
  it('explains a request that has ended, by the id of its answer and by its x-request-id', async () => {
    const at = await start();
    const headers = { 'x-request-id': 'order-66' };
    const { id } = await bodyOf<CompletionBody>(post(at, { ...ENDLESS, max_tokens: 9 }, { headers }));
    for (const name of [id, 'order-66']) {
      const { sequences } = await bodyOf<Explained>(ask(at, name));
      expect(sequences).toMatchObject([
        { request: id, state: 'finished', complete: true, finishReason: 'length', outputTokens: 9, promptTokens: 6 },
      ]);
      const [story] = sequences;
      expect(story!.ttftMs).toBeGreaterThan(0);
      expect(story!.totalMs).toBeGreaterThan(story!.ttftMs!);
      expect(Object.values(story!.parts).reduce((a, b) => a + b)).toBeCloseTo(story!.totalMs, 6);
      expect(story!.sentences[0]).toMatch(`Request ${id} took `);
      expect(JSON.stringify(story)).not.toContain('Rivers');
    }
  });

  it('explains one that waits: for what, and who is before it', async () => {
    const at = await start({ engine: { sequencesMax: 1 } });
    const first = await openStream(at, ENDLESS, { headers: { 'x-request-id': 'first' } });
    await first.next();
    const second = openStream(at, { ...ENDLESS, seed: 4 }, { headers: { 'x-request-id': 'second' } });
    await until(at.load, ({ waiting_sequences }) => waiting_sequences === 1);
    const told = await until(
      () => bodyOf<Explained>(ask(at, 'second')),
      ({ sequences }) => sequences[0]!.waits.some((wait) => wait.reason === 'sequences'),
    );
    expect(told.sequences[0]).toMatchObject({ state: 'waiting', complete: false, ttftMs: null });
    const [holder] = told.sequences[0]!.holders!.top;
    const { sequences } = await bodyOf<Explained>(ask(at, 'first'));
    expect(holder!.request).toBe(sequences[0]!.request);
    expect(sequences[0]!.state).toBe('running');
    await first.cancel();
    await (await second).cancel();
  });

  it('explains every sequence of a call', async () => {
    const at = await start({ timeScale: 0 });
    const body = { prompt: ['a', 'b'], n: 2, max_tokens: 3, ignore_eos: true };
    const { id } = await bodyOf<CompletionBody>(post(at, body));
    const { sequences, sequences_total } = await bodyOf<Explained>(ask(at, id));
    expect(sequences_total).toBe(4);
    expect(sequences.map(({ request }) => request)).toEqual([id, `${id}.1`, id, `${id}.1`]);
  });

  it('knows requests of minutes ago while the engine is busy, and forgets the oldest', async () => {
    const at = await start({ timeScale: 0 });
    const { id: early } = await bodyOf<CompletionBody>(post(at, { ...ENDLESS, max_tokens: 2 }));
    await bodyOf(post(at, { ...ENDLESS, max_tokens: 20_000 }, {}));
    const { sequences } = await bodyOf<Explained>(ask(at, early));
    expect(sequences[0]).toMatchObject({ state: 'finished', outputTokens: 2 });
    await bodyOf(post(at, { ...ENDLESS, max_tokens: 60_000 }));
    const { error } = await bodyOf<ErrorBody>(ask(at, early), 404);
    expect(error.message).toContain('older than the records');
  });

  it('does not know others: 404; wants an admin key and no query', async () => {
    const at = await start();
    const { error } = await bodyOf<ErrorBody>(ask(at, 'nobody'), 404);
    expect(error).toMatchObject({ type: 'not_found_error', code: 'unknown_request' });
    expect(error.message).toContain('"nobody"');
    expect((await ask(at, 'nobody?x=1')).status).toBe(400);
    expect((await ask(at, 'nobody', at.key)).status).toBe(403);
    expect((await ask(at, 'nobody', 'wrong')).status).toBe(401);
  });

  it('answers 503 while there is no engine, and 404 for who went down with the last one', async () => {
    const at = await start({ watchdog: { restartMs: 600_000, restartMaxMs: 600_000 } });
    const { id } = await bodyOf<CompletionBody>(post(at, { ...ENDLESS, max_tokens: 2 }));
    at.serving.link.kill();
    await until(at.load, ({ state }) => state === 'restarting');
    const { error } = await bodyOf<ErrorBody>(ask(at, id), 503);
    expect(error.code).toBe('engine_down');
  });
});
