import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SpeculationConfig } from '../../src/core/engine-config.ts';
import { ConfigError, InvariantError } from '../../src/core/errors.ts';
import { SpeculationController } from '../../src/core/speculation-controller.ts';

const CONFIG: SpeculationConfig = {
  draftTokensMax: 4,
  lookaheadTokens: 0,
  runningOffMin: 64,
  runningOnMax: 32,
  acceptanceOffMax: 0.3,
  acceptanceOnMin: 0.5,
  retrySteps: 100,
};
const WINDOW = { drafts: 400, draftsMin: 40 };

function controller(changes: Partial<SpeculationConfig> = {}): SpeculationController {
  return new SpeculationController({ ...CONFIG, ...changes }, WINDOW);
}

/** One step of `rows` rows of 4 drafts with `accepted` of each accepted, if drafts are on. Returns the decision. */
function step(c: SpeculationController, stepId: number, accepted: number, rows = 10, running = 1): boolean {
  const drafting = c.decide(stepId, running);
  if (!drafting) return false;
  for (let i = 0; i < rows; i++) {
    c.offer(4);
    c.verify(4, accepted);
  }
  return true;
}

describe('load', () => {
  it('goes off above runningOffMin and on again only at or below runningOnMax', () => {
    const c = controller();
    const decisions = [64, 65, 64, 33, 32, 64, 65].map((running, i) => c.decide(i, running));
    expect(decisions).toEqual([true, false, false, false, true, true, false]);
    expect(c.state).toBe('off-load');
    expect(c.switches).toBe(3);
  });

  it('never goes off with an infinite bound', () => {
    const c = controller({ runningOffMin: Number.POSITIVE_INFINITY, runningOnMax: Number.POSITIVE_INFINITY });
    expect(c.decide(0, 1e9)).toBe(true);
  });
});

describe('acceptance', () => {
  it('waits for enough samples before it believes a low rate', () => {
    const c = controller();
    c.decide(0, 1);
    for (let i = 0; i < 9; i++) {
      c.offer(4);
      c.verify(4, 0);
    }
    expect(c.decide(1, 1)).toBe(true);
    c.offer(4);
    c.verify(4, 0);
    expect(c.decide(2, 1)).toBe(false);
    expect(c.state).toBe('off-acceptance');
  });

  it('stays on between the bounds, where a trial would fail', () => {
    const c = controller();
    for (let i = 0; i < 50; i++) expect(step(c, i, i % 2 === 0 ? 2 : 1)).toBe(true);
    expect(c.acceptanceRate).toBeGreaterThan(CONFIG.acceptanceOffMax);
    expect(c.acceptanceRate).toBeLessThan(CONFIG.acceptanceOnMin);
  });

  it('tries again after retrySteps, goes off again below acceptanceOnMin and stays on at it', () => {
    const c = controller();
    step(c, 0, 0);
    expect(step(c, 1, 0)).toBe(false);
    for (let i = 2; i < 101; i++) expect(c.decide(i, 1)).toBe(false);
    expect(step(c, 101, 1)).toBe(true);
    expect(c.state).toBe('trial');
    // A quarter accepted would fail anyway; one more trial with just half.
    expect(c.decide(102, 1)).toBe(false);
    expect(c.decide(201, 1)).toBe(false);
    expect(step(c, 202, 2)).toBe(true);
    expect(c.decide(203, 1)).toBe(true);
    expect(c.state).toBe('on');
  });

  it('judges a trial by its own drafts, and a rate of 0.4 fails it', () => {
    const c = controller();
    step(c, 0, 0);
    c.decide(1, 1);
    c.decide(101, 1);
    for (let i = 0; i < 10; i++) {
      c.offer(4);
      c.verify(4, i < 6 ? 2 : 1);
    }
    expect(c.decide(102, 1)).toBe(false);
    expect(c.acceptanceRate).toBeCloseTo(0.4, 12);
  });

  it('lets a trial last until enough drafts were verified, were it without any for a while', () => {
    const c = controller();
    step(c, 0, 0);
    c.decide(1, 1);
    for (let i = 101; i < 105; i++) expect(c.decide(i, 1)).toBe(true);
    expect(step(c, 105, 0, 9)).toBe(true);
    expect(step(c, 106, 4, 9)).toBe(true);
    expect(c.state).toBe('trial');
    expect(c.decide(107, 1)).toBe(true);
    expect(c.state).toBe('on');
  });

  it('follows a change of workload, and forgets the old one', () => {
    const c = controller();
    let stepId = 0;
    for (; stepId < 200; stepId++) step(c, stepId, 4);
    let on = 0;
    while (on < 1000 && step(c, stepId++, 0)) on++;
    // Without forgetting it would take 467 bad steps to fall below 0.3.
    expect(on).toBeGreaterThan(2);
    expect(on).toBeLessThan(20);
  });

  it('ignores late results of steps that were in flight when drafts went off', () => {
    const c = controller();
    c.decide(0, 1);
    for (let i = 0; i < 20; i++) c.offer(4);
    for (let i = 0; i < 10; i++) c.verify(4, 0);
    expect(c.decide(1, 1)).toBe(false);
    for (let i = 0; i < 10; i++) c.verify(4, 0);
    expect(c.decide(2, 1)).toBe(false);
    expect(c.decide(101, 1)).toBe(true);
    expect(c.acceptanceRate).toBeNaN();
    expect(c.proposed).toBe(80);
    c.check();
  });

  it('does not depend on the order of rows within a step', () => {
    const rows = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat(4)), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 10 }), (steps) => {
        const a = controller();
        const b = controller();
        steps.forEach((step, i) => {
          for (const c of [a, b]) {
            c.decide(i, 1);
            for (const [drafts, accepted] of c === a ? step : step.toReversed()) {
              c.offer(drafts);
              c.verify(drafts, Math.min(accepted, drafts));
            }
          }
        });
        expect(a.decide(1000, 1)).toBe(b.decide(1000, 1));
        expect(a.acceptanceRate).toBe(b.acceptanceRate);
      }),
    );
  });
});

describe('runs of steps', () => {
  it('decides the same whether every step asks or only those that stepsUntilRetry demands', () => {
    const every = controller();
    const runs = controller();
    const onEvery: number[] = [];
    const onRuns: number[] = [];
    for (let i = 0; i < 1000; i++) if (step(every, i, i < 500 ? 0 : 3)) onEvery.push(i);
    for (let i = 0; i < 1000; ) {
      if (step(runs, i, i < 500 ? 0 : 3)) {
        onRuns.push(i);
        i++;
      } else {
        expect(runs.stepsUntilRetry).toBeGreaterThanOrEqual(1);
        i += runs.stepsUntilRetry;
      }
    }
    expect(onRuns).toEqual(onEvery);
    // Off for most of the bad half, on for the good one.
    expect(onEvery.filter((i) => i < 500).length).toBeLessThan(10);
    expect(onEvery.filter((i) => i >= 500).length).toBeGreaterThan(390);
  });

  it('lets only load end a pause by load', () => {
    const c = controller();
    c.decide(0, 65);
    expect(c.stepsUntilRetry).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('books', () => {
  it('balance after every event, and every offered draft has one fate', () => {
    const event = fc.record({
      kind: fc.constantFrom('offer', 'verify', 'discard', 'decide'),
      drafts: fc.integer({ min: 1, max: 4 }),
      accepted: fc.nat(4),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        const c = controller();
        let open = 0;
        let stepId = 0;
        for (const { kind, drafts, accepted } of events) {
          if (kind === 'decide') c.decide(stepId++, 1);
          else if (kind === 'offer') {
            c.offer(drafts);
            open += drafts;
          } else if (drafts > open) {
            expect(() => (kind === 'verify' ? c.verify(drafts, 0) : c.discard(drafts))).toThrow(InvariantError);
          } else {
            if (kind === 'verify') c.verify(drafts, Math.min(accepted, drafts));
            else c.discard(drafts);
            open -= drafts;
          }
          c.check();
          expect(c.accepted + c.rejected).toBe(c.proposed);
          expect(c.pending).toBe(open);
          expect(c.proposed + c.discarded + open).toBe(c.offered);
        }
      }),
    );
  });

  it('counts accepted drafts by their place in the row', () => {
    const c = controller();
    for (const accepted of [0, 1, 3, 4, 3]) {
      c.offer(4);
      c.verify(4, accepted);
    }
    expect([0, 1, 2, 3].map((i) => c.acceptedAt(i))).toEqual([4, 3, 3, 1]);
    expect(c.rows).toBe(5);
    expect(c.accepted).toBe(11);
  });

  it('refuses impossible results', () => {
    const c = controller();
    c.offer(8);
    expect(() => c.verify(4, 5)).toThrow(InvariantError);
    expect(() => c.verify(5, 0)).toThrow(InvariantError);
    expect(() => c.verify(0, 0)).toThrow(InvariantError);
    expect(() => c.verify(4, -1)).toThrow(InvariantError);
    expect(() => c.discard(9)).toThrow(InvariantError);
    c.decide(5, 1);
    expect(() => c.decide(4, 1)).toThrow(InvariantError);
  });
});

describe('settings', () => {
  it.each([
    [{ runningOnMax: 65 }, 'speculation.runningOnMax: 65'],
    [{ runningOffMin: Number.NaN }, 'speculation.runningOffMin: NaN'],
    [{ acceptanceOffMax: 0.6 }, 'speculation.acceptanceOffMax: 0.6'],
    [{ acceptanceOnMin: 1.5 }, 'speculation.acceptanceOnMin: 1.5'],
    [{ retrySteps: 0 }, 'speculation.retrySteps: 0'],
    [{ draftTokensMax: 0 }, 'speculation.draftTokensMax: 0'],
  ])('%j is refused by name', (changes, message) => {
    expect(() => controller(changes)).toThrow(ConfigError);
    expect(() => controller(changes)).toThrow(message);
  });
});
