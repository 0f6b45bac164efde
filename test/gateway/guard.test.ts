import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallbackFailure, Guard } from '../../src/gateway/guard.ts';
import { CALLBACK_SOURCES, type CallbackSource } from '../../src/observability/index.ts';
import { startServing } from '../../src/runtime/serve.ts';
import { bodyOf, type CompletionBody, metricsOf, post, until } from '../support/http-calls.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

/** What a callback may do instead of its work. */
const FAILURES: readonly (readonly [what: string, fail: () => unknown])[] = [
  [
    'throws an error',
    () => {
      throw new Error('EMFILE: too many open files');
    },
  ],
  [
    'throws what is no error',
    () => {
      throw 'EMFILE';
    },
  ],
  ['returns a promise that is rejected', () => Promise.reject(new Error('EMFILE'))],
];

describe('a guarded callback', () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it.each(FAILURES)(
    'that %s is counted and reported, whatever its source and however it is run',
    async (_what, fail) => {
      for (const source of CALLBACK_SOURCES) {
        const counted: CallbackSource[] = [];
        const reported: CallbackFailure[] = [];
        const guard = new Guard(
          (failure) => reported.push(failure),
          (it) => counted.push(it),
        );
        let ticks = 0;
        const interval = guard.every(source, 1, () => {
          ticks++;
          return fail();
        });
        guard.after(source, 1, fail);
        guard.soon(source, fail);
        guard.run(source, fail);
        while (ticks < 3) await turn();
        clearInterval(interval);
        while (counted.length < ticks + 3) await turn();
        expect(counted).toEqual(Array.from({ length: ticks + 3 }, () => source));
        expect(reported.map((failure) => [failure.source, failure.count])).toEqual(
          [1, 10].filter((count) => count <= ticks + 3).map((count) => [source, count]),
        );
      }
    },
  );

  it('is reported once for each message, then at each power of ten, and its report may fail', () => {
    const reported: string[] = [];
    const guard = new Guard(({ error, count }) => {
      reported.push(`${(error as Error).message} ${count}`);
      throw new Error('the log is broken');
    });
    for (let i = 0; i < 100; i++) {
      guard.failed('sample', new Error('a'));
      if (i < 2) guard.failed('sample', new Error('b'));
    }
    expect(reported).toEqual(['a 1', 'b 1', 'a 10', 'a 100']);
  });

  it('holds a bounded number of messages', () => {
    let reports = 0;
    const guard = new Guard(() => reports++);
    for (let i = 0; i < 10_000; i++) guard.failed('sample', new Error(`message ${i}`));
    expect(reports).toBeLessThan(210);
  });
});

/** A guard whose callbacks of some sources throw when they have done their work, or, where that is periodic, instead of it. */
class FailingGuard extends Guard {
  targets: readonly CallbackSource[] = [];

  override run(source: CallbackSource, work: () => unknown): void {
    super.run(source, () => {
      if (!this.targets.includes(source)) return work();
      if (!PERIODIC.includes(source)) work();
      throw new Error('planted');
    });
  }
}

/** Those that run once a second: the timer of the event loop calls them. */
const SAMPLED: readonly CallbackSource[] = ['sample', 'alerts', 'dashboard', 'recording', 'stall_report'];
const PERIODIC: readonly CallbackSource[] = ['event_loop', 'engine_watch', ...SAMPLED];
/** Run for each request. */
const OF_REQUESTS: readonly CallbackSource[] = ['engine_commands', 'engine_message', 'engine_reports', 'connections'];

describe('a server', () => {
  let guard: FailingGuard;
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({}, (config, patience) =>
      startServing(config, patience, (...parts) => {
        guard = new FailingGuard(...parts);
        return guard;
      }),
    );
  });
  afterAll(() => server.close());

  const failures = async (source: CallbackSource) =>
    (await metricsOf(server)).get(`gateway_callback_failures_total{source="${source}"}`)!;
  const served = async () => {
    const body = await bodyOf<CompletionBody>(
      post(server, { prompt: 'Rivers', max_tokens: 5 }, { headers: { connection: 'close' } }),
    );
    expect(body.usage!.completion_tokens).toBe(5);
  };

  it.each([
    ['timers', ['event_loop', 'engine_watch']],
    ['samplers', SAMPLED],
  ] as const)('whose %s all fail, each time, goes on, and counts it', async (_what, sources) => {
    guard.targets = sources;
    await served();
    for (const source of sources) {
      await until(
        () => failures(source),
        (count) => count >= 2,
      );
    }
    await served();
    guard.targets = [];
    await served();
  });

  it.each(OF_REQUESTS)('whose %s fails each time goes on, and counts it', async (source) => {
    guard.targets = [source];
    await served();
    await until(
      () => failures(source),
      (count) => count >= 1,
    );
    await served();
    guard.targets = [];
    await served();
  });

  it('whose restart of the engine fails at its end serves again', async () => {
    guard.targets = ['engine_restart'];
    server.serving.link.kill();
    await until(
      () => failures('engine_restart'),
      (count) => count >= 1,
    );
    guard.targets = [];
    await until(
      () => server.serving.link.state,
      (state) => state === 'running',
    );
    await served();
  });
});
