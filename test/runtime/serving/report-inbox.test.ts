import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NONE } from '../../../src/core/index.ts';
import type { EngineSink } from '../../../src/gateway/engine-link.ts';
import { Guard } from '../../../src/gateway/guard.ts';
import { ReportInbox } from '../../../src/runtime/serving/report-inbox.ts';
import { type ReportReceiver, ReportWriter } from '../../../src/runtime/serving/report-wire.ts';

/** Each record takes this long by the clock of the test, which nothing else moves. */
const RECORD_MS = 1;
/** Slices of 4 ms, and the record that exceeds them. */
const RECORDS_PER_TURN = 5;

interface Rig {
  readonly inbox: ReportInbox;
  /** Calls of sinks in their order. */
  readonly calls: string[];
  /** Records that were read since the last turn of the event loop, at most. */
  readonly most: () => number;
  readonly acknowledged: () => number;
}

function rig(receiver: Partial<ReportReceiver> = {}, broken: ReadonlySet<number> = new Set()): Rig {
  let nowMs = 0;
  let sinceTurn = 0;
  let most = 0;
  let acknowledged = 0;
  const calls: string[] = [];
  const turns = new Guard((failure) => calls.push(`guard ${failure.source}`));
  const guard = new (class extends Guard {
    override soon(source: 'engine_reports', work: () => unknown): void {
      turns.soon(source, () => {
        sinceTurn = 0;
        work();
      });
    }
  })((failure) => calls.push(`guard ${failure.source}`));
  const called = (id: number, what: string) => {
    nowMs += RECORD_MS;
    most = Math.max(most, ++sinceTurn);
    calls.push(`${id} ${what}`);
    if (broken.has(id)) throw new Error('planted');
  };
  const sinkOf = (id: number): EngineSink => ({
    tokens: (_index, ids, at) => called(id, `token ${ids[at]}`),
    admitted: () => called(id, 'admitted'),
    promptLogprobs: () => called(id, 'prompt'),
    finished: (_index, reason) => called(id, reason),
    stepEnd: () => calls.push(`${id} end`),
    failed: () => calls.push(`${id} failed`),
  });
  const inbox = new ReportInbox({
    nowMs: () => nowMs,
    guard,
    sinkOf,
    ended: () => {},
    failed: (id) => calls.push(`${id} failed`),
    records: (records) => calls.push(`records ${records.length}`),
    acknowledge: () => acknowledged++,
    ...receiver,
  });
  return { inbox, calls, most: () => most, acknowledged: () => acknowledged };
}

function report(token: number, streams: readonly number[]) {
  const writer = new ReportWriter(null);
  for (const id of streams) writer.tokens(id, 0, Int32Array.of(token), 0, 1, null, 0);
  return { kind: 'report', ...writer.take(token) } as const;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('reports of the engine', () => {
  it('are read whole and in order, a bounded number of records between two turns of the event loop', async () => {
    const steps = fc.array(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 30 }), {
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (streams) => {
        const { inbox, calls, most, acknowledged } = rig();
        for (const [step, ids] of streams.entries()) inbox.take(report(step, ids));
        while (acknowledged() < streams.length) await turn();
        const tokens = calls.filter((call) => call.includes('token'));
        expect(tokens).toEqual(streams.flatMap((ids, step) => ids.map((id) => `${id} token ${step}`)));
        expect(most()).toBeLessThanOrEqual(RECORDS_PER_TURN);
        // Nothing is left unsent: behind the last token of each stream is an end.
        for (let id = 1; id <= 9; id++)
          expect(calls.lastIndexOf(`${id} end`)).toBeGreaterThanOrEqual(
            calls.findLastIndex((it) => it.startsWith(`${id} token`)),
          );
      }),
      { numRuns: 30, seed: 12 },
    );
  });

  it('are acknowledged when they have been read, so that an engine which is ahead waits', async () => {
    const { inbox, acknowledged } = rig();
    for (let step = 0; step < 17; step++) inbox.take(report(step, [1, 2, 3, 4]));
    expect(acknowledged()).toBe(1);
    inbox.readAll();
    expect(acknowledged()).toBe(17);
  });

  it('go on behind a sink that throws: its request alone fails, once', () => {
    const { inbox, calls } = rig({}, new Set([2]));
    inbox.take(report(7, [1, 2, 3]));
    inbox.readAll();
    expect(calls).toEqual(['1 token 7', '2 token 7', '2 failed', '3 token 7', '1 end', '3 end']);
  });

  it('that wait are forgotten with the thread that sent them', async () => {
    const { inbox, calls } = rig();
    for (let step = 0; step < 5; step++) inbox.take(report(step, [1, 2, 3, 4, 5]));
    const before = calls.length;
    inbox.clear();
    await turn();
    await turn();
    expect(calls.length).toBe(before);
    inbox.take(report(9, [1]));
    expect(calls.slice(before)).toEqual(['1 token 9', '1 end']);
  });
});

it('a finished sequence is out of the books before its sink is called', () => {
  const order: string[] = [];
  const { inbox } = rig({
    ended: () => order.push('ended'),
    sinkOf: () => ({
      tokens() {},
      admitted() {},
      promptLogprobs() {},
      finished: () => order.push('finished'),
      stepEnd() {},
      failed() {},
    }),
  });
  const writer = new ReportWriter(null);
  writer.finished(1, 0, 'length', { outputTokens: 1, stopTokenId: NONE, rejection: null });
  inbox.take({ kind: 'report', ...writer.take(1) });
  expect(order).toEqual(['ended', 'finished']);
});
