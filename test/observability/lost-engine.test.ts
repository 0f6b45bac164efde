import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Engine, TokenSink } from '../../src/core/index.ts';
import {
  CATALOGUE,
  createMetricsPage,
  type MetricsPage,
  PLACES,
  settleLostEngine,
} from '../../src/observability/index.ts';
import { MetricsSnapshot } from '../../src/observability/metrics-snapshot.ts';
import { expectIdleBalance } from './balance.ts';
import { meteredRun } from './metered-run.ts';

const request = fc.record({
  arrivalNs: fc.integer({ min: 0, max: 300e6 }),
  stream: fc.integer({ min: 1, max: 4 }),
  promptTokens: fc.integer({ min: 1, max: 300 }),
  outputTokensMax: fc.integer({ min: 1, max: 60 }),
  n: fc.integer({ min: 1, max: 3 }),
});

class Crash extends Error {}

/** Throws at a call: in the middle of what becomes of a step, behind some of its sequences and before others. */
class CrashingSink implements TokenSink {
  private callsLeft: number;

  constructor(callsLeft: number) {
    this.callsLeft = callsLeft;
  }

  tokens(): void {
    this.count();
  }

  finished(): void {
    this.count();
  }

  private count(): void {
    if (--this.callsLeft < 0) throw new Crash();
  }
}

function snapshotOf(page: MetricsPage): MetricsSnapshot {
  const snapshot = new MetricsSnapshot();
  snapshot.take(page);
  return snapshot;
}

const ENGINE_GAUGES = CATALOGUE.filter(({ type, writer }) => type === 'gauge' && writer === 'engine');

describe('an engine that is lost in the middle of a step', () => {
  it('is settled: its sequences have ended, counters balance, gauges are as before the first engine; twice as once', () => {
    const reached = { crashed: 0, live: 0, begun: 0 };
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 16 }), fc.nat(400), (requests, calls) => {
        let made: { readonly page: MetricsPage; readonly engine: Engine } | null = null;
        const run = () =>
          meteredRun({ requests, sink: new CrashingSink(calls), made: (page, engine) => (made = { page, engine }) });
        try {
          run();
        } catch (error) {
          if (!(error instanceof Crash)) throw error;
          reached.crashed++;
        }
        const { page, engine } = made!;
        const received = snapshotOf(page).value('scheduler_sequences_received_total');
        const leaders = [...engine.requests.values()];
        const live = leaders.flatMap((leader) => [leader, ...(leader.siblings ?? [])]);
        const lost = live.map(({ promptTokens, outputTokens }) => ({ promptTokens, outputTokens, ageSeconds: 0.1 }));
        reached.live += live.length;
        reached.begun += lost.filter(({ outputTokens }) => outputTokens > 0).length;
        // Killed inside a group of cells that belong together.
        if (calls % 2 === 1) page.beginGroup();
        settleLostEngine(page, lost);
        const end = snapshotOf(page);
        expectIdleBalance(end);
        expect(end.sum('scheduler_sequences_finished_total')).toBe(received);
        const fresh = createMetricsPage().cells;
        for (const { name } of ENGINE_GAUGES) {
          const { at, series } = PLACES.get(name)!;
          const places = [at, at + series.length] as const;
          expect([...page.cells.subarray(...places)]).toEqual([...fresh.subarray(...places)]);
        }
        settleLostEngine(page, lost);
        expect([...snapshotOf(page).cells]).toEqual([...end.cells]);
      }),
      { numRuns: 100 },
    );
    expect(Object.entries(reached).filter(([, count]) => count === 0)).toEqual([]);
  });
});
