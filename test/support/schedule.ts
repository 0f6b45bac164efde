import fc from 'fast-check';
import type { EngineConfig, EngineProfile, SpeculationConfig } from '../../src/core/index.ts';
import type { HashModel } from './hash-model.ts';

/** One request of a schedule, as data: it prints, shrinks, and runs the same way each time. */
export interface ScheduledRequest {
  readonly arrivalNs: number;
  /** Prompt: the first tokens of a shared document, part of an earlier request's text (a next turn), then tokens of its own. */
  readonly document: number;
  readonly documentTokens: number;
  /** Which earlier request the conversation goes on from, counted back; 0 = none. */
  readonly turnOf: number;
  readonly ownTokens: number;
  readonly outputTokensMax: number;
  readonly outputTokensMin: number;
  readonly ignoreEos: boolean;
  readonly stopTokens: boolean;
  readonly samplingSeed: number | null;
  readonly n: number;
  readonly priority: number;
  readonly cacheSalt: number;
  readonly promptLogprobs: boolean;
  /** After the arrival; null = never. */
  readonly deadlineNs: number | null;
  readonly abortNs: number | null;
  /** The caller finds a stop string then, and keeps all tokens but the last one. */
  readonly finishNs: number | null;
}

export type ProposerKind = 'ngram' | 'guesses';

/** Everything that a run depends on. */
export interface Schedule {
  readonly profile: EngineProfile;
  readonly changes: Partial<EngineConfig>;
  readonly model: HashModel;
  readonly proposer: ProposerKind;
  readonly copiesAhead: boolean;
  /** Decides step durations, faults and guesses. */
  readonly seed: number;
  readonly durationNsMax: number;
  /** Of 1000 steps, how many fail transiently; how many lose their sequences; how many the device. */
  readonly transientPerMille: number;
  readonly stickyPerMille: number;
  readonly deviceLostPerMille: number;
  readonly requests: readonly ScheduledRequest[];
}

/** Prompts and outputs of a schedule fit this; pools are small enough to be fought for. */
const MODEL_LEN_MAX = 100;

const rarely = <T>(value: fc.Arbitrary<T>, weight = 5): fc.Arbitrary<T | null> =>
  fc.oneof({ weight, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: value });

const whole = (min: number, max: number) => fc.noBias(fc.integer({ min, max }));

const request = (n: fc.Arbitrary<number>): fc.Arbitrary<ScheduledRequest> =>
  fc.record({
    arrivalNs: fc.oneof(whole(0, 100), whole(0, 3000)),
    document: whole(0, 2),
    documentTokens: fc.oneof(fc.constant(0), whole(0, 32)),
    turnOf: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: whole(1, 3) }),
    ownTokens: fc.oneof(whole(1, 4), whole(1, 28)),
    outputTokensMax: fc.oneof(whole(1, 4), whole(1, 30)),
    outputTokensMin: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: whole(1, 8) }),
    ignoreEos: fc.boolean(),
    stopTokens: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    samplingSeed: rarely(whole(0, 3), 2),
    n,
    priority: whole(0, 2),
    cacheSalt: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) }),
    promptLogprobs: fc.oneof(
      { weight: 15, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
    deadlineNs: rarely(whole(1, 6000), 9),
    abortNs: rarely(whole(0, 4000), 6),
    finishNs: rarely(whole(0, 4000), 12),
  });

const speculation: fc.Arbitrary<SpeculationConfig> = fc.record({
  draftTokensMax: whole(1, 5),
  lookaheadTokens: fc.constantFrom(0, 0, 2),
  // Narrow bounds switch drafts on and off all the time.
  runningOffMin: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 2),
  runningOnMax: fc.constantFrom(0, 1, 2),
  acceptanceOffMax: fc.constantFrom(0, 0, 0.5),
  acceptanceOnMin: fc.constantFrom(0.5, 0.9),
  retrySteps: whole(1, 6),
});

const policies = fc.record({
  order: fc.constantFrom('fcfs' as const, 'priority' as const),
  agingNs: fc.constantFrom(0, 500),
  capacity: fc.constantFrom(
    'as-needed' as const,
    'as-needed' as const,
    'as-needed' as const,
    'reserve-prompt' as const,
    'guaranteed-no-evict' as const,
    'overcommit' as const,
  ),
  watermarkRatio: fc.constantFrom(0, 0.01, 0.1),
  victim: fc.constantFrom('tail' as const, 'cost' as const),
  preemption: fc.constantFrom('recompute' as const, 'swap' as const, 'swap' as const),
  preemptionsMax: fc.constantFrom(0, 1, 3),
  bypassMax: fc.constantFrom(0, 0, 3),
  bypassedMax: fc.constantFrom(1, 4),
  admissionRetrySteps: fc.constantFrom(0, 0, 4),
  siblings: fc.constantFrom('fork' as const, 'fork' as const, 'independent' as const),
  prefixCaching: fc.constantFrom(true, true, true, false),
  partialPrefixHits: fc.boolean(),
  pendingPrefixHits: fc.boolean(),
  reuseEmptyFirst: fc.boolean(),
  chunkedPrefill: fc.constantFrom(true, true, true, false),
  prefillChunkTokensMax: fc.oneof(fc.constant(0), whole(1, 16)),
});

interface Draw {
  readonly profile: EngineProfile | 'mixed';
  readonly policies: Partial<EngineConfig>;
  readonly stepsInFlight: 1 | 2;
  readonly blockSize: number;
  readonly poolTokens: number;
  readonly hostTokens: number;
  readonly sequencesMax: number;
  readonly tokensPerStepMax: number;
  readonly failuresMax: number;
  readonly fencedFrees: boolean;
  readonly speculation: SpeculationConfig | null;
  readonly vocabulary: number;
  readonly eosEvery: number;
  readonly proposer: ProposerKind;
  readonly copiesAhead: boolean;
  readonly seed: number;
  readonly durationNsMax: number;
  readonly faults: readonly [number, number, number];
  readonly requests: readonly ScheduledRequest[];
}

const draws: fc.Arbitrary<Draw> = fc.record({
  profile: fc.constantFrom('twinfer' as const, 'vllm-v1' as const, 'mixed' as const, 'mixed' as const),
  policies,
  stepsInFlight: fc.constantFrom(1 as const, 2 as const),
  blockSize: whole(1, 16),
  poolTokens: fc.oneof(whole(40, 90), whole(40, 90), whole(60, 200)),
  hostTokens: fc.constantFrom(0, 60, 120),
  sequencesMax: fc.oneof(whole(1, 8), whole(4, 8)),
  tokensPerStepMax: fc.oneof(whole(1, 12), whole(8, 80)),
  failuresMax: whole(0, 4),
  fencedFrees: fc.boolean(),
  speculation: rarely(speculation, 1),
  vocabulary: fc.constantFrom(2, 3, 1000, 1000),
  eosEvery: fc.constantFrom(0, 16),
  proposer: fc.constantFrom('ngram' as const, 'guesses' as const),
  copiesAhead: fc.boolean(),
  seed: fc.nat(),
  durationNsMax: fc.constantFrom(1, 60, 400),
  faults: fc.constantFrom<[number, number, number]>(
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [40, 0, 0],
    [200, 0, 0],
    [30, 20, 0],
    [20, 0, 5],
  ),
  requests: fc.array(request(fc.constantFrom(1, 1, 1, 2, 3)), { minLength: 1, maxLength: 12, size: 'max' }),
});

/**
 * Random schedules: both profiles and mixes of policies, pools that are fought for, everything that a caller can do at any
 * moment. A profile's wrong-by-design settings are not drawn: vLLM's hits on blocks that nobody computed
 * (`unpublishUnplanned` off), and unfenced frees beside copies that run ahead.
 */
export const schedules: fc.Arbitrary<Schedule> = draws.map(toSchedule);

function toSchedule(draw: Draw): Schedule {
  const mixed = draw.profile === 'mixed';
  const chunked = draw.policies.chunkedPrefill !== false || !mixed;
  const hostBlocksTotal = Math.ceil(draw.hostTokens / draw.blockSize);
  const changes: Partial<EngineConfig> = {
    ...(mixed ? draw.policies : {}),
    ...(mixed ? { fencedFrees: draw.fencedFrees || draw.copiesAhead } : {}),
    ...(mixed && hostBlocksTotal === 0 ? { preemption: 'recompute' as const } : {}),
    unpublishUnplanned: true,
    stepsInFlight: draw.stepsInFlight,
    blockSize: draw.blockSize,
    blocksTotal: Math.ceil(draw.poolTokens / draw.blockSize) + 1,
    hostBlocksTotal,
    sequencesMax: draw.sequencesMax,
    tokensPerStepMax: chunked ? draw.tokensPerStepMax : Math.max(draw.tokensPerStepMax, 40),
    modelLenMax: MODEL_LEN_MAX,
    failuresMax: draw.failuresMax,
    speculation: draw.speculation,
    checkIntervalNs: 0,
  };
  const fenced = mixed ? changes.fencedFrees! : draw.profile === 'twinfer';
  return {
    profile: mixed ? 'twinfer' : (draw.profile as EngineProfile),
    changes,
    model: { vocabulary: draw.vocabulary, eosEvery: draw.eosEvery },
    proposer: draw.proposer,
    copiesAhead: draw.copiesAhead && fenced,
    seed: draw.seed,
    durationNsMax: draw.durationNsMax,
    transientPerMille: draw.faults[0],
    stickyPerMille: draw.faults[1],
    deviceLostPerMille: draw.faults[2],
    requests: draw.requests,
  };
}
