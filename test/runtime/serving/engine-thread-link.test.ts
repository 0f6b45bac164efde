import { afterEach, describe, expect, it } from 'vitest';
import { REQUEST_DEFAULTS } from '../../../src/core/index.ts';
import { EngineDownError, type EngineSink } from '../../../src/gateway/engine-link.ts';
import type { EngineThreadLink } from '../../../src/runtime/serving/engine-thread-link.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../../support/test-server.ts';
import { until } from '../../support/until.ts';

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function linkOf(overrides: TestServerOverrides = {}): Promise<EngineThreadLink> {
  server = await startTestServer(overrides);
  return server.serving.link;
}

interface Record_ {
  readonly ids: number[];
  readonly ends: string[];
  readonly sink: EngineSink;
  /** Resolves when sequence 0 has ended; `first` when it has a token. */
  readonly ended: Promise<string>;
  readonly first: Promise<void>;
}

function record(): Record_ {
  const ids: number[] = [];
  const ends: string[] = [];
  let end: (reason: string) => void;
  let begin: () => void;
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const first = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const sink: EngineSink = {
    tokens(_index, words, at, count) {
      ids.push(...words.subarray(at, at + count));
      begin();
    },
    admitted() {},
    promptLogprobs() {},
    finished(_index, reason) {
      ends.push(reason);
      end(reason);
    },
    stepEnd() {},
    failed() {},
  };
  return { ids, ends, sink, ended, first };
}

function request(id: number, outputTokensMax: number) {
  return {
    ...REQUEST_DEFAULTS,
    id,
    prompt: Int32Array.from({ length: 100 }, (_, i) => 32 + (i % 90)),
    outputTokensMax,
  };
}

/** Longer than any test waits, on a server that runs in real time. */
const ENDLESS = 100_000;

describe('the engine in its thread', () => {
  it('gives the same tokens to the same greedy request, all of them, then the end', async () => {
    const link = await linkOf();
    const runs = [record(), record()];
    for (const [i, run] of runs.entries()) link.submit(request(i + 1, 300), run.sink);
    expect(await Promise.all(runs.map((run) => run.ended))).toEqual(['length', 'length']);
    expect(runs[0]!.ids.length).toBe(300);
    expect(runs[1]!.ids).toEqual(runs[0]!.ids);
    expect(link.live).toBe(0);
  });

  it('forgets an aborted request, blocks and all', async () => {
    const link = await linkOf({ timeScale: 1 });
    const run = record();
    link.submit(request(1, ENDLESS), run.sink);
    await run.first;
    link.abort(1);
    link.abort(1);
    expect(await run.ended).toBe('abort');
    const page = await server!.idle();
    expect(page.kv_blocks_used).toBe(0);
    expect(run.ends).toEqual(['abort']);
  });

  it('ends what a crashed thread had, refuses for the pause, and comes back', async () => {
    const link = await linkOf({ timeScale: 1 });
    const run = record();
    link.submit(request(1, ENDLESS), run.sink);
    await run.first;
    link.kill();
    expect(await run.ended).toBe('error');
    expect(link.state).toBe('restarting');
    expect(() => link.submit(request(2, 5), record().sink)).toThrow(EngineDownError);
    await until(
      () => link.state,
      (state) => state === 'running',
    );
    expect(link.restarts).toBe(1);
    const again = record();
    link.submit(request(3, 5), again.sink);
    expect(await again.ended).toBe('length');
  });

  it('takes a thread that hangs for dead', async () => {
    let nowMs = 0;
    const link = await linkOf({ timeScale: 1, watchdog: { hangMs: 600 }, patience: { nowMs: () => nowMs } });
    const run = record();
    link.submit(request(1, ENDLESS), run.sink);
    await run.first;
    void link.admin({ call: 'hang' }).catch(() => {});
    await until(
      () => {
        nowMs += 1000;
        return link.state;
      },
      (state) => state !== 'running',
    );
    expect(await run.ended).toBe('error');
    await until(
      () => link.state,
      (state) => state === 'running',
    );
    expect(link.restarts).toBe(1);
    expect(run.ends).toEqual(['error']);
  });

  it('says 503 while no step ends and requests wait, and answers /metrics all the same', async () => {
    const link = await linkOf({ timeScale: 1, watchdog: { stallMs: 100 } });
    const run = record();
    link.submit(request(1, ENDLESS), run.sink);
    await run.first;
    expect((await fetch(`${server!.url}/health`)).status).toBe(200);
    void link.admin({ call: 'hang' }).catch(() => {});
    let health = await fetch(`${server!.url}/health`);
    while (health.status === 200) health = await fetch(`${server!.url}/health`);
    expect(health.status).toBe(503);
    expect(((await health.json()) as { reason: string }).reason).toMatch(/no step has ended for \d+ ms/);
    expect((await fetch(`${server!.url}/health/live`)).status).toBe(200);
    expect((await fetch(`${server!.url}/metrics`)).status).toBe(200);
    link.kill();
    await run.ended;
  });

  it('checks all laws of the engine on demand, and drops cached blocks', async () => {
    const link = await linkOf();
    const run = record();
    link.submit(request(1, 50), run.sink);
    await run.ended;
    expect((await server!.idle()).kv_blocks_cached).toBeGreaterThan(0);
    await link.admin({ call: 'check' });
    await link.admin({ call: 'reset-prefix-cache' });
    const probe = record();
    link.submit({ ...request(2, 1), prompt: Int32Array.of(40) }, probe.sink);
    await probe.ended;
    expect((await server!.idle()).kv_blocks_cached).toBe(0);
  });
});
