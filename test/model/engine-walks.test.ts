import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { EngineConfig } from '../../src/core/index.ts';
import { type Action, EngineWalk } from '../support/engine-walk.ts';
import { actions as action, actionsWithFailures as failing } from '../support/engine-worlds.ts';
import { ALWAYS_DRAFTS } from '../support/speculation.ts';

/** Small pools, so that everything runs out. */
const config: fc.Arbitrary<Partial<EngineConfig>> = fc
  .record({
    blockSize: fc.constantFrom(1, 2, 4),
    poolTokens: fc.integer({ min: 48, max: 128 }),
    sequencesMax: fc.integer({ min: 1, max: 6 }),
    tokensPerStepMax: fc.constantFrom(3, 8, 64),
    prefillChunkTokensMax: fc.constantFrom(0, 0, 5),
    stepsInFlight: fc.constantFrom(1 as const, 2 as const),
    order: fc.constantFrom('fcfs' as const, 'priority' as const),
    agingNs: fc.constantFrom(0, 7),
    capacity: fc.constantFrom('as-needed' as const, 'reserve-prompt' as const, 'overcommit' as const),
    watermarkRatio: fc.constantFrom(0, 0.1),
    victim: fc.constantFrom('tail' as const, 'cost' as const),
    preemptionsMax: fc.constantFrom(0, 1, 3),
    bypass: fc.constantFrom([0, 0], [2, 3], [8, 64]),
    admissionRetrySteps: fc.constantFrom(0, 4),
    siblings: fc.constantFrom('fork' as const, 'independent' as const),
    prefixCaching: fc.constantFrom(true, true, true, false),
    partialPrefixHits: fc.boolean(),
    pendingPrefixHits: fc.boolean(),
    reuseEmptyFirst: fc.boolean(),
    waitingMax: fc.constantFrom(3, 1000),
  })
  .map(({ poolTokens, bypass, ...rest }) => ({
    ...rest,
    blocksTotal: Math.ceil(poolTokens / rest.blockSize),
    modelLenMax: 64,
    bypassMax: bypass[0]!,
    bypassedMax: bypass[1]!,
  }));

function walks(extra: fc.Arbitrary<Partial<EngineConfig>>, actions: fc.Arbitrary<Action>, numRuns = 200): void {
  fc.assert(
    fc.property(
      config,
      extra,
      fc.array(actions, { minLength: 1, maxLength: 60, size: 'max' }),
      (base, changes, list) => {
        new EngineWalk({ ...base, ...changes }).run(list);
      },
    ),
    { numRuns },
  );
}

const nothing = fc.constant({});

describe('engine, any walk', () => {
  it('keeps every law and gives the tokens of a serial run', () => walks(nothing, action, 400));

  it('does so with failed steps', () => walks(nothing, failing, 300));

  it('does so when victims are swapped to host memory', () => {
    const swapping = fc.record({
      preemption: fc.constant('swap' as const),
      hostBlocksTotal: fc.integer({ min: 1, max: 64 }),
    });
    walks(swapping, failing);
  });

  it('does so with drafts', () => {
    const drafting = fc.nat(2).map((lookaheadTokens) => ({ speculation: { ...ALWAYS_DRAFTS, lookaheadTokens } }));
    walks(drafting, failing);
  });

  it('takes rejected drafts back from the admission that proposed them, not from the next', () => {
    const one = (prompt: number[], output: number, n = 1): Action => ({
      kind: 'submit',
      prompt,
      output,
      n,
      priority: 0,
      salt: 0,
      patienceNs: 0,
    });
    const tail = new Array<number>(9).fill(0);
    new EngineWalk({
      blockSize: 1,
      blocksTotal: 48,
      sequencesMax: 4,
      tokensPerStepMax: 64,
      prefillChunkTokensMax: 5,
      modelLenMax: 64,
      stepsInFlight: 2,
      capacity: 'as-needed',
      watermarkRatio: 0,
      victim: 'tail',
      preemptionsMax: 0,
      admissionRetrySteps: 0,
      siblings: 'independent',
      partialPrefixHits: false,
      pendingPrefixHits: false,
      reuseEmptyFirst: false,
      waitingMax: 1000,
      bypassMax: 0,
      bypassedMax: 0,
      speculation: { ...ALWAYS_DRAFTS, lookaheadTokens: 1 },
    }).run([
      { ...one([0], 1), patienceNs: 1 } as Action,
      ...new Array<Action>(4).fill(one([0], 1)),
      { kind: 'steps', count: 3 },
      one([0, 1, 4, 9, 5, 3, 3, 5, 9, 4, 1, ...tail], 2),
      one([3, 4, 7, 1, 8, 6, 6, 8, 1, 7, 4, 3, 0, 0, 0, 0], 9, 3),
      { kind: 'fail', status: 'sticky' },
      { kind: 'begin' },
      { kind: 'steps', count: 5 },
      { kind: 'finish', which: 0, keep: 0 },
      { kind: 'steps', count: 6 },
      { kind: 'begin' },
      { kind: 'finish', which: 0, keep: 0 },
    ]);
  });

  it('never preempts with capacity "guaranteed-no-evict"', () => {
    const guaranteed = fc.boolean().map((drafts) => ({
      capacity: 'guaranteed-no-evict' as const,
      ...(drafts ? { speculation: ALWAYS_DRAFTS } : {}),
    }));
    walks(guaranteed, action);
  });
});
