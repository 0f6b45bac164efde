import fc from 'fast-check';
import type { EngineConfig } from '../../src/core/index.ts';
import { type Action, EngineWalk } from './engine-walk.ts';

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

export const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: submit },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('steps' as const), count: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('begin' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('finish' as const), which: fc.nat(20), keep: fc.nat(30) }) },
);

export const actionsWithFailures: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: actions },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      status: fc.constantFrom('transient' as const, 'sticky' as const),
    }),
  },
);

/** One engine's life: everything that its policies are chosen by, and all that happens to it. */
export interface EngineWorld {
  readonly config: Partial<EngineConfig>;
  readonly actions: readonly Action[];
}

const whole = (min: number, max: number) => fc.noBias(fc.integer({ min, max }));
const rarely = <T>(value: T, arbitrary: fc.Arbitrary<T>, weight = 5) =>
  fc.oneof({ weight, arbitrary: fc.constant(value) }, { weight: 1, arbitrary });

/** Lengths are shares of what fits, in thousandths; `aligned` ones end at a boundary of blocks. */
const worldSubmit = fc.record({
  kind: fc.constant('submit' as const),
  family: fc.nat(2),
  shared: fc.oneof(fc.constant(0), whole(0, 700)),
  own: fc.oneof(whole(0, 100), whole(0, 900)),
  aligned: whole(-1, 2),
  continues: fc.oneof(fc.constant(null), fc.nat(9)),
  output: fc.oneof(whole(1, 8), whole(1, 60)),
  n: rarely(1, whole(2, 3), 8),
  priority: fc.nat(2),
  salt: rarely(0, fc.constant(1)),
  patienceNs: rarely(0, whole(1, 60), 8),
  reusesId: fc.boolean(),
});
type WorldSubmit = typeof worldSubmit extends fc.Arbitrary<infer T> ? T : never;

const worldAction = fc.oneof(
  { weight: 8, arbitrary: worldSubmit },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('steps' as const), count: whole(1, 12) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('begin' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('finish' as const), which: fc.nat(20), keep: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      status: fc.constantFrom('transient' as const, 'sticky' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drain' as const) }) },
);

const worldConfig = fc.record({
  blockSize: fc.oneof(fc.constantFrom(1, 2, 4, 16), whole(1, 32)),
  blocksTotal: fc.oneof(whole(1, 8), whole(1, 40)),
  modelLenShare: fc.oneof(fc.constant(1000), whole(100, 2000)),
  sequencesMax: whole(1, 6),
  tokensPerStepMax: fc.oneof(whole(1, 12), whole(8, 100), fc.constant(320)),
  prefillChunkTokensMax: rarely(0, whole(1, 24)),
  chunkedPrefill: rarely(true, fc.constant(false)),
  stepsInFlight: fc.constantFrom(1 as const, 2 as const),
  order: fc.constantFrom('fcfs' as const, 'priority' as const),
  agingNs: fc.constantFrom(0, 7),
  capacity: fc.constantFrom(
    'as-needed' as const,
    'as-needed' as const,
    'reserve-prompt' as const,
    'guaranteed-no-evict' as const,
    'overcommit' as const,
  ),
  watermarkRatio: fc.constantFrom(0, 0.01, 0.1),
  victim: fc.constantFrom('tail' as const, 'cost' as const),
  hostBlocksTotal: fc.oneof(fc.constant(0), whole(1, 60)),
  preemptionsMax: fc.constantFrom(0, 1, 3),
  bypass: fc.constantFrom([0, 0], [2, 3], [8, 64], [1, 1]),
  admissionRetrySteps: fc.constantFrom(0, 4, 32),
  siblings: fc.constantFrom('fork' as const, 'independent' as const),
  prefixCaching: rarely(true, fc.constant(false)),
  partialPrefixHits: fc.boolean(),
  pendingPrefixHits: fc.boolean(),
  reuseEmptyFirst: fc.boolean(),
  waitingMax: fc.constantFrom(3, 1000),
  failuresMax: fc.nat(3),
  drafts: fc.oneof(
    fc.constant(null),
    fc.record({
      draftTokensMax: whole(1, 5),
      lookaheadTokens: rarely(0, whole(1, 2)),
      runningOffMin: fc.constantFrom(64, 2),
      retrySteps: whole(1, 6),
    }),
  ),
});

/** Every policy with every other, pools of few blocks, prompts as large as they, and lives of many phases. */
const engineWorlds: fc.Arbitrary<EngineWorld> = fc
  .tuple(worldConfig, fc.array(worldAction, { minLength: 1, maxLength: 150, size: 'max' }))
  .map(([draw, actions]) => {
    const config = toConfig(draw);
    return { config, actions: actions.map((one) => (one.kind === 'submit' ? toSubmit(one, config) : one)) };
  });

type Sizes = Partial<EngineConfig> & { blockSize: number; blocksTotal: number; modelLenMax: number };

function toConfig(draw: typeof worldConfig extends fc.Arbitrary<infer T> ? T : never): Sizes {
  const { modelLenShare, bypass, drafts, tokensPerStepMax, chunkedPrefill, prefillChunkTokensMax, ...rest } = draw;
  const tokens = draw.blockSize * draw.blocksTotal;
  const modelLenMax = Math.max(2, Math.floor((tokens * modelLenShare) / 1000));
  return {
    ...rest,
    modelLenMax,
    chunkedPrefill,
    prefillChunkTokensMax: chunkedPrefill ? prefillChunkTokensMax : 0,
    tokensPerStepMax: chunkedPrefill ? tokensPerStepMax : Math.max(tokensPerStepMax, draw.sequencesMax, modelLenMax),
    preemption: draw.hostBlocksTotal === 0 ? 'recompute' : 'swap',
    bypassMax: bypass[0]!,
    bypassedMax: bypass[1]!,
    speculation: drafts === null ? null : { ...drafts, runningOnMax: 2, acceptanceOffMax: 0, acceptanceOnMin: 0 },
  };
}

function toSubmit(draw: WorldSubmit, { blockSize, blocksTotal, modelLenMax }: Sizes): Action {
  const { family, shared, own, aligned, output, ...rest } = draw;
  const fits = Math.min(modelLenMax, blockSize * blocksTotal);
  const outputTokens = Math.min(output, Math.max(1, fits - 1));
  const room = Math.max(1, fits - outputTokens);
  const sharedTokens = Math.floor((shared * room) / 1000);
  let length = Math.min(room, sharedTokens + 1 + Math.floor((own * room) / 1000));
  if (aligned > 0) length = Math.max(1, length - (length % blockSize) - (aligned - 1));
  const prompt = Array.from({ length }, (_, i) => (i < sharedTokens ? (family * 3 + i * i) % 11 : (own + i * 7) % 11));
  return { ...rest, prompt, output: outputTokens };
}

/** What a number of worlds came to. */
export interface WorldTotals {
  worlds: number;
  steps: number;
  preemptions: number;
  /** Worlds in which a sequence was passed over just as often as it may be. */
  atBound: number;
}

/** Runs worlds: those of a seed, or fresh ones. A failure prints seed and path, which show the world again. */
export function runWorlds(numRuns: number, seed?: number): WorldTotals {
  const totals: WorldTotals = { worlds: 0, steps: 0, preemptions: 0, atBound: 0 };
  fc.assert(
    fc.property(engineWorlds, ({ config, actions }) => {
      const walk = new EngineWalk(config);
      walk.run(actions);
      totals.worlds++;
      totals.steps += walk.steps;
      totals.preemptions += walk.rig.preemptions.length;
      if (walk.overtakenMax > 0 && walk.overtakenMax === config.bypassedMax) totals.atBound++;
    }),
    { numRuns, ...(seed === undefined ? {} : { seed }) },
  );
  return totals;
}
