import * as fc from 'fast-check';
import { expect } from 'vitest';
import { CATALOGUE, MetricsSnapshot, PLACES } from '../../src/observability/index.ts';
import { expectIdleBalance } from '../observability/balance.ts';
import { EventStream, post, until } from '../support/http-calls.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

/*
 * Engines that crash, hang or break an invariant at random moments of random load: what clients get, and what the metrics of all
 * engines together say.
 */

interface RandomCall {
  readonly stream: boolean;
  readonly n: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** The client leaves after this many events of its stream; null = it stays. */
  readonly leavesAfter: number | null;
}

interface CrashRound {
  readonly calls: readonly RandomCall[];
  readonly end: 'kill' | 'hang' | 'check';
  /** The engine fails when the clients have got this many events and answers, or at the end of the load. */
  readonly afterEvents: number;
}

const randomCall: fc.Arbitrary<RandomCall> = fc.record({
  stream: fc.boolean(),
  n: fc.integer({ min: 1, max: 3 }),
  promptTokens: fc.integer({ min: 1, max: 600 }),
  outputTokens: fc.integer({ min: 1, max: 500 }),
  leavesAfter: fc.option(fc.integer({ min: 0, max: 100 }), { freq: 4 }),
});

const crashRound: fc.Arbitrary<CrashRound> = fc.record({
  calls: fc.array(randomCall, { minLength: 4, maxLength: 24 }),
  end: fc.constantFrom('kill' as const, 'hang' as const, 'check' as const),
  afterEvents: fc.integer({ min: 0, max: 600 }),
});

/** `rounds` of them, the same ones for the same seed, on one server with a batch that the load overflows. */
export async function expectBalanceAfterCrashes(rounds: number, seed: number): Promise<void> {
  const server = await startTestServer({
    timeScale: 0.1,
    engine: { sequencesMax: 8 },
    watchdog: { hangMs: 500, restartMs: 20, restartMaxMs: 20 },
  });
  try {
    const fresh = await until(
      () => engineGauges(server),
      (gauges) => !Number.isNaN(gauges[GAUGE_NAMES.indexOf('gpu_compute_utilization 0')]),
    );
    let calls = 0;
    for (const round of fc.sample(crashRound, { numRuns: rounds, seed })) {
      await runRound(server, round);
      calls += round.calls.length;
      await server.idle();
      expectClosed(snapshotOf(server), calls);
      await until(
        () => engineGauges(server),
        (gauges) => gauges.every((value, i) => Object.is(value, fresh[i])),
      );
    }
  } finally {
    await server.close();
  }
}

/** Resolves when every call has ended and the engine has been started again. */
async function runRound(server: TestServer, round: CrashRound): Promise<void> {
  const { link } = server.serving;
  const before = link.restarts;
  let events = 0;
  let failing: Promise<unknown> | null = null;
  const fail = () => {
    failing ??= failEngine(server, round.end);
  };
  const seen = () => {
    if (++events > round.afterEvents) fail();
  };
  await Promise.all(round.calls.map((call, i) => runCall(server, call, i, seen)));
  fail();
  await failing;
  await until(
    () => link.state === 'running' && link.restarts > before,
    (running) => running,
  );
}

async function failEngine(server: TestServer, end: CrashRound['end']): Promise<unknown> {
  const { link } = server.serving;
  if (end === 'kill') return link.kill();
  if (end === 'hang') {
    // Only an engine with work can be seen to hang.
    const work = post(server, { prompt: 'x', max_tokens: 2000, ignore_eos: true });
    void link.admin({ call: 'hang' }).catch(() => {});
    return (await work).text();
  }
  await server.admin('/admin/faults', { kind: 'leak-blocks', blocks: 1 });
  return post(server, {}, { path: '/admin/check', key: server.adminKey }).then((response) => response.text());
}

/** Each call ends once: as an answer, as an error, or because its client leaves. */
async function runCall(server: TestServer, call: RandomCall, seed: number, seen: () => void): Promise<void> {
  const { stream, n, outputTokens, leavesAfter } = call;
  const body = { prompt: 'x'.repeat(call.promptTokens), n, max_tokens: outputTokens, ignore_eos: true, seed };
  const response = await post(server, { ...body, stream });
  if (!stream || response.status !== 200) {
    const answer = (await response.json()) as { choices?: unknown[]; error?: unknown };
    expect([200, 500, 503]).toContain(response.status);
    expect(response.status === 200 ? answer.choices?.length : typeof answer.error).toBe(
      response.status === 200 ? n : 'object',
    );
    return seen();
  }
  const events = new EventStream(response);
  for (let count = 0; ; count++) {
    if (count === leavesAfter) return events.cancel();
    const event = await events.next();
    seen();
    if (event !== '[DONE]') continue;
    expect(await events.next()).toBeNull();
    return;
  }
}

function snapshotOf(server: TestServer): MetricsSnapshot {
  const snapshot = new MetricsSnapshot();
  snapshot.take(server.serving.metricsPage);
  return snapshot;
}

/** `calls`: what the clients have sent, but for those that made an engine hang. */
function expectClosed(end: MetricsSnapshot, calls: number): void {
  expectIdleBalance(end);
  const received = end.value('gateway_requests_received_total');
  expect(received).toBeGreaterThanOrEqual(calls);
  expect(end.sum('gateway_requests_total')).toBe(received);
  expect(end.value('gateway_active_requests')).toBe(0);
  expect(end.value('gateway_active_streams')).toBe(0);
  expect(end.count('gateway_request_duration_seconds')).toBe(end.sum('gateway_calls_total'));
  expect(end.sum('gateway_calls_total') + end.sum('gateway_requests_refused_total')).toBe(received);
  // What an engine had done and not reported is lost for clients, not for its own counters.
  expect(end.value('decode_tokens_total')).toBeGreaterThanOrEqual(end.value('gateway_tokens_total'));
}

const ENGINE_GAUGES = CATALOGUE.filter(({ type, writer }) => type === 'gauge' && writer === 'engine').map(
  ({ name }) => PLACES.get(name)!,
);
const GAUGE_NAMES = ENGINE_GAUGES.flatMap(({ definition, series }) =>
  series.map((labels) => [definition.name, ...labels].join(' ')),
);

/** All gauges that the catalogue says the engine writes. */
function engineGauges(server: TestServer): number[] {
  const { cells } = snapshotOf(server);
  return ENGINE_GAUGES.flatMap(({ at, series }) => [...cells.subarray(at, at + series.length)]);
}
