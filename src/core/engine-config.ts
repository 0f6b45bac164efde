import type { BackendLimits } from './backend.ts';
import { ConfigError } from './errors.ts';

/** Who goes first among the waiting: arrival, or priority (smaller first) then arrival. */
export type OrderPolicy = 'fcfs' | 'priority';

/**
 * What must fit before a sequence is admitted. as-needed: the blocks of its first chunk (vLLM 0.15). reserve-prompt: its
 * whole known text (vLLM's later `scheduler_reserve_full_isl`). guaranteed-no-evict: its text and outputTokensMax, beside what all running
 * sequences may still need (TensorRT-LLM's default). overcommit: as that, but of the future output only an adaptive share
 * (SGLang's new-token ratio).
 */
export type CapacityPolicy = 'as-needed' | 'reserve-prompt' | 'guaranteed-no-evict' | 'overcommit';

/** Who is preempted when blocks run out: the last of the order, or the one that costs least to bring back. */
export type VictimPolicy = 'tail' | 'cost';

/**
 * What happens to a victim's KV: computed again, or copied to host memory and back. A victim that a step in flight still writes
 * to is computed again in either mode; with two steps in flight that is nearly every decoding one, so swap wants one.
 */
export type PreemptionMode = 'recompute' | 'swap';

export interface SpeculationConfig {
  /** Drafts per sequence and step, at least 1. */
  readonly draftTokensMax: number;
  /** Slots reserved beyond the drafts, for proposers that write KV of their own (draft models); 0 for n-gram. */
  readonly lookaheadTokens: number;
  /** Off above this many running sequences, on again at or below `runningOnMax`. */
  readonly runningOffMin: number;
  readonly runningOnMax: number;
  /** Off when the moving acceptance rate falls below; tried again after `retrySteps` steps, kept when at or above `acceptanceOnMin`. */
  readonly acceptanceOffMax: number;
  readonly acceptanceOnMin: number;
  readonly retrySteps: number;
}

/** Everything that decides what the engine does, as data. Make one with `engineConfig`, which checks it. */
export interface EngineConfig {
  /** Tokens per KV block. */
  readonly blockSize: number;
  readonly blocksTotal: number;
  /** Host blocks for swapping; 0 = none. */
  readonly hostBlocksTotal: number;
  /** Running sequences. */
  readonly sequencesMax: number;
  /** Token budget of one step. */
  readonly tokensPerStepMax: number;
  /** Prompt and output together. */
  readonly modelLenMax: number;
  /** Requests that may wait; more are rejected as queue-full. */
  readonly waitingMax: number;

  readonly chunkedPrefill: boolean;
  /** Largest chunk of one sequence in one step; 0 = the budget alone limits. */
  readonly prefillChunkTokensMax: number;
  readonly stepsInFlight: 1 | 2;

  readonly order: OrderPolicy;
  /** With order `priority`: a waiting sequence gains one priority level per this time, ns; 0 = no aging. */
  readonly agingNs: number;
  readonly capacity: CapacityPolicy;
  /** Share of blocks kept free when a sequence is admitted while others run. */
  readonly watermarkRatio: number;
  readonly victim: VictimPolicy;
  readonly preemption: PreemptionMode;
  /** With victim `cost`: a sequence preempted this often is a victim only if no other is left. 0 = no bound. */
  readonly preemptionsMax: number;
  /** Sequences looked at behind a head that does not fit. 0 = none: head-of-line blocking, as in vLLM. */
  readonly bypassMax: number;
  /** How often a sequence that waits may be passed over in its life; then those behind it wait for it. */
  readonly bypassedMax: number;
  /** One that lacked blocks is looked up again when so many are available, or after this many steps. 0 = at every step (vLLM). */
  readonly admissionRetrySteps: number;
  /** Siblings (n > 1): fork the leader's blocks when its prompt is computed, or run as n requests of their own (vLLM). */
  readonly siblings: 'fork' | 'independent';

  readonly prefixCaching: boolean;
  /** Reuse of part of a block by copy-on-write. Off: hits are whole blocks, the last token of a prompt recomputes its block (vLLM). */
  readonly partialPrefixHits: boolean;
  /** Whether a block may be hit before the step that computes it has ended (needs the backend's consent). */
  readonly pendingPrefixHits: boolean;
  /**
   * Whether blocks that a row would have filled lose their content when the row is taken out of the plan again, for a more
   * urgent sequence. Off: vLLM 0.15 leaves them in its index although nobody computes them, and so may hit them later.
   */
  readonly unpublishUnplanned: boolean;
  /** Blocks without content go back to the head of the free list, so that cached ones live longer. Off: to its tail (vLLM 0.15). */
  readonly reuseEmptyFirst: boolean;
  /** Blocks freed while a step that may write to them is in flight are held back until it has ended. */
  readonly fencedFrees: boolean;

  readonly speculation: SpeculationConfig | null;
  /** End-of-sequence ids of the model (backends that exchange token ids). */
  readonly eosTokenIds: readonly number[];
  /** Failed submissions in a row after which the sequences in them end as `error`. */
  readonly failuresMax: number;
  /** Runs of decode steps in one submission, where the backend takes them. */
  readonly fastForward: boolean;
  /** Full check of all laws at most once per this time, ns; 0 = after every step. */
  readonly checkIntervalNs: number;
}

export type EngineProfile = 'twinfer' | 'vllm-v1';

const COMMON = {
  blockSize: 16,
  blocksTotal: 1024,
  hostBlocksTotal: 0,
  sequencesMax: 256,
  tokensPerStepMax: 2048,
  modelLenMax: 131_072,
  waitingMax: 1_000_000,
  chunkedPrefill: true,
  prefillChunkTokensMax: 0,
  order: 'fcfs',
  agingNs: 0,
  prefixCaching: true,
  speculation: null,
  eosTokenIds: [],
  failuresMax: 3,
  fastForward: true,
  checkIntervalNs: 600e9,
} as const;

/**
 * twinfer: the best known set. vllm-v1: the decisions of vLLM 0.15.1's V1 scheduler, step for step (running before waiting,
 * tail victim, recompute only, hits of whole blocks capped one token short, break at a head that does not fit).
 */
export const ENGINE_PROFILES: Readonly<Record<EngineProfile, EngineConfig>> = {
  twinfer: {
    ...COMMON,
    stepsInFlight: 1,
    capacity: 'overcommit',
    watermarkRatio: 0.01,
    victim: 'cost',
    preemption: 'recompute',
    preemptionsMax: 3,
    bypassMax: 8,
    bypassedMax: 64,
    admissionRetrySteps: 32,
    siblings: 'fork',
    partialPrefixHits: true,
    pendingPrefixHits: true,
    unpublishUnplanned: true,
    reuseEmptyFirst: true,
    fencedFrees: true,
  },
  'vllm-v1': {
    ...COMMON,
    stepsInFlight: 2,
    capacity: 'as-needed',
    watermarkRatio: 0,
    victim: 'tail',
    preemption: 'recompute',
    preemptionsMax: 0,
    bypassMax: 0,
    bypassedMax: 0,
    admissionRetrySteps: 0,
    siblings: 'independent',
    partialPrefixHits: false,
    pendingPrefixHits: true,
    unpublishUnplanned: false,
    reuseEmptyFirst: false,
    fencedFrees: false,
  },
};

/** A checked, frozen configuration: the profile with `changes` on top. Throws ConfigError. */
export function engineConfig(profile: EngineProfile, changes: Partial<EngineConfig> = {}): EngineConfig {
  const config: EngineConfig = Object.freeze({ ...ENGINE_PROFILES[profile], ...changes });
  whole(config, 'blockSize', 1, 4096);
  whole(config, 'blocksTotal', 1, 2 ** 28);
  whole(config, 'hostBlocksTotal', 0, 2 ** 28);
  whole(config, 'sequencesMax', 1, 65_536);
  whole(config, 'tokensPerStepMax', 1, 2 ** 24);
  whole(config, 'modelLenMax', 2, 2 ** 24);
  whole(config, 'waitingMax', 0, 2 ** 31);
  whole(config, 'prefillChunkTokensMax', 0, 2 ** 24);
  whole(config, 'stepsInFlight', 1, 2);
  whole(config, 'agingNs', 0, Number.MAX_SAFE_INTEGER);
  whole(config, 'preemptionsMax', 0, 1e9);
  whole(config, 'bypassMax', 0, 1024);
  whole(config, 'bypassedMax', 0, 1e9);
  whole(config, 'admissionRetrySteps', 0, 1e9);
  whole(config, 'failuresMax', 0, 1e9);
  whole(config, 'checkIntervalNs', 0, Number.MAX_SAFE_INTEGER);
  if (!(config.watermarkRatio >= 0 && config.watermarkRatio < 1)) {
    throw new ConfigError('watermarkRatio', config.watermarkRatio, 'a number in [0, 1)');
  }
  if (config.tokensPerStepMax < config.sequencesMax && config.speculation === null && config.chunkedPrefill === false) {
    throw new ConfigError(
      'tokensPerStepMax',
      config.tokensPerStepMax,
      `at least sequencesMax (${config.sequencesMax}) without chunked prefill`,
    );
  }
  if (config.preemption === 'swap' && config.hostBlocksTotal === 0) {
    throw new ConfigError('hostBlocksTotal', 0, 'at least 1 with preemption "swap"');
  }
  const speculation = config.speculation;
  if (speculation !== null) {
    if (
      !(
        Number.isInteger(speculation.draftTokensMax) &&
        speculation.draftTokensMax >= 1 &&
        speculation.draftTokensMax <= 128
      )
    ) {
      throw new ConfigError('speculation.draftTokensMax', speculation.draftTokensMax, 'an integer in [1, 128]');
    }
    if (speculation.runningOnMax > speculation.runningOffMin) {
      throw new ConfigError(
        'speculation.runningOnMax',
        speculation.runningOnMax,
        `at most runningOffMin (${speculation.runningOffMin})`,
      );
    }
    if (speculation.acceptanceOffMax > speculation.acceptanceOnMin) {
      throw new ConfigError(
        'speculation.acceptanceOffMax',
        speculation.acceptanceOffMax,
        `at most acceptanceOnMin (${speculation.acceptanceOnMin})`,
      );
    }
  }
  return config;
}

/** Throws ConfigError when a backend cannot do what a configuration asks for. */
export function checkLimits(config: EngineConfig, limits: BackendLimits): void {
  atMost('blocksTotal', config.blocksTotal, limits.blocksTotal);
  atMost('hostBlocksTotal', config.hostBlocksTotal, limits.hostBlocksTotal);
  atMost('stepsInFlight', config.stepsInFlight, limits.stepsInFlightMax);
  if (config.prefixCaching && config.pendingPrefixHits && !limits.sameStepPrefixReads) {
    throw new ConfigError('pendingPrefixHits', true, 'false on a backend without same-step prefix reads');
  }
}

function atMost(field: string, value: number, max: number): void {
  if (value > max) throw new ConfigError(field, value, `at most the backend's ${max}`);
}

type NumberField = { [K in keyof EngineConfig]: EngineConfig[K] extends number ? K : never }[keyof EngineConfig];

function whole(config: EngineConfig, field: NumberField, min: number, max: number): void {
  const value = config[field];
  if (!(Number.isInteger(value) && value >= min && value <= max)) {
    throw new ConfigError(field, value, `an integer in [${min}, ${max}]`);
  }
}
