import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EngineConfig, NONE, StreamTokens } from '../../src/core/index.ts';
import { EngineRig } from '../support/engine-rig.ts';

interface Arrival {
  readonly step: number;
  readonly prompt: number;
  readonly stream: number;
  readonly output: number;
  readonly ends: number;
}

const arrival = fc.record({
  step: fc.nat(60),
  prompt: fc.integer({ min: 1, max: 20 }),
  stream: fc.nat(2),
  output: fc.integer({ min: 1, max: 40 }),
  ends: fc.integer({ min: 1, max: 60 }),
});

const config = fc.record({
  blocksTotal: fc.integer({ min: 16, max: 40 }),
  blockSize: fc.constantFrom(2, 4),
  sequencesMax: fc.integer({ min: 1, max: 5 }),
  capacity: fc.constantFrom('as-needed' as const, 'overcommit' as const, 'guaranteed-no-evict' as const),
  reuseEmptyFirst: fc.boolean(),
  partialPrefixHits: fc.boolean(),
});

/** All that a step can change, as text. */
function stateOf(rig: EngineRig): string {
  const { kv, scheduler, totals, stepsDone } = rig.engine;
  const list: number[] = [];
  for (let block = kv.pool.head(); block !== NONE; block = kv.pool.following(block)) list.push(block);
  const running = scheduler.running.map((s) => [
    s.request.id,
    s.slot,
    s.computedTokens,
    s.outputTokens,
    s.cacheBlocks,
    ...rig.blocksOf(s),
  ]);
  const content = Array.from({ length: kv.pool.total }, (_, block) =>
    kv.cache.has(block) ? kv.cache.readyStep(block) : NONE,
  );
  return JSON.stringify({
    stepsDone,
    steps: totals.steps,
    list,
    running,
    content,
    evictions: rig.evictions,
    ratio: scheduler.overcommit.ratio,
    preemptions: rig.preemptions.map((p) => p.victim.request.id),
  });
}

/** Runs to the end; the state after every submission by the number of steps done. Nothing arrives inside a run. */
function run(
  changes: Partial<EngineConfig>,
  arrivals: readonly Arrival[],
  stepsMax: number,
  pick: (most: number) => number,
): Map<number, string> {
  const rig = new EngineRig({
    config: { ...changes, modelLenMax: 60, fastForward: stepsMax > 1 },
    limits: { impliedTokens: true, stepsMax },
  });
  const queue = [...arrivals].sort((a, b) => a.step - b.step);
  const states = new Map<number, string>();
  for (let step = 0; ; ) {
    for (; queue.length > 0 && queue[0]!.step <= step; queue.shift()) {
      const { prompt, stream, output, ends } = queue[0]!;
      rig.submit({ prompt: new StreamTokens(prompt, stream), outputTokensMax: output, impliedOutputTokens: ends });
    }
    const plan = rig.begin();
    if (plan === null) {
      if (queue.length === 0) break;
      step = queue[0]!.step;
      continue;
    }
    let most = Math.min(plan.stepsMax, queue.length > 0 ? queue[0]!.step - step : stepsMax);
    for (const sequence of plan.sequences.slice(0, plan.rows))
      most = Math.min(most, sequence!.request.impliedOutputTokens - sequence!.outputTokens);
    const steps = Math.max(1, Math.min(most, pick(most)));
    rig.end({ steps });
    step += steps;
    states.set(step, stateOf(rig));
  }
  return states;
}

describe('a run of k steps', () => {
  it('leaves what k single steps leave: blocks, tables, order of eviction, content', () => {
    let longest = 0;
    fc.assert(
      fc.property(
        config,
        fc.array(arrival, { minLength: 1, maxLength: 10 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }),
        (changes, arrivals, picks) => {
          const single = run(changes, arrivals, 1, () => 1);
          let turn = 0;
          const runs = run(changes, arrivals, 64, (most) => {
            longest = Math.max(longest, most);
            return picks[turn++ % picks.length]!;
          });
          for (const [step, state] of runs) expect(state, `after step ${step}`).toBe(single.get(step));
          expect([...runs.keys()].at(-1)).toBe([...single.keys()].at(-1));
        },
      ),
      { numRuns: 200 },
    );
    expect(longest, 'runs were long').toBeGreaterThan(10);
  });
});
