import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { EngineConfig } from '../../src/core/index.ts';
import { type Action, EngineWalk } from '../support/engine-walk.ts';
import { ALWAYS_DRAFTS } from '../support/speculation.ts';

/** Prompts that share beginnings, so that hits, partial hits and duplicates are common. */
const prompt = fc
  .tuple(fc.nat(2), fc.nat(4), fc.array(fc.nat(3), { minLength: 1, maxLength: 20 }))
  .map(([family, shared, own]) => [...Array.from({ length: shared * 4 }, (_, i) => (family * 3 + i * i) % 11), ...own]);

const submit = fc.record({
  kind: fc.constant('submit' as const),
  prompt,
  output: fc.integer({ min: 1, max: 24 }),
  n: fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 3 }) }),
  priority: fc.nat(3),
  salt: fc.nat(1),
  patienceNs: fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) },
  ),
});

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: submit },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('steps' as const), count: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('begin' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('finish' as const), which: fc.nat(20), keep: fc.nat(30) }) },
);

const failing: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: action },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      status: fc.constantFrom('transient' as const, 'sticky' as const),
    }),
  },
);

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
