import { z } from 'zod';
import type { EngineConfig, EngineProfile, SpeculationConfig } from '../core/index.ts';
import { duration, durationNs, size } from './units.ts';

const integer = (min: number, max: number, description: string) => z.int().min(min).max(max).describe(description);
const flag = (description: string) => z.boolean().describe(description);

/**
 * The engine's settings in vLLM's words where vLLM has the knob (its engine arguments and environment, 0.15), else in the
 * same manner. Bounds are those of `engineConfig` in the core, which checks again what depends on two fields.
 */
export const engineSchema = z
  .strictObject({
    profile: z
      .enum(['twinfer', 'vllm-v1'])
      .default('twinfer')
      .describe('Set of policies to start from: twinfer is the best known one, vllm-v1 decides as vLLM 0.15 does'),
    block_size: integer(1, 4096, 'Tokens per KV block').optional(),
    num_gpu_blocks: integer(
      1,
      2 ** 28,
      'KV blocks on the device; without it the memory model resolves them',
    ).optional(),
    num_cpu_blocks: integer(0, 2 ** 28, 'Host blocks for swapping; without it swap_space decides').optional(),
    swap_space: size('Host memory for swapped blocks, per device').optional(),
    max_num_seqs: integer(1, 65_536, 'Sequences that run at the same time').optional(),
    max_num_batched_tokens: integer(1, 2 ** 24, 'Token budget of one step').optional(),
    max_model_len: integer(2, 2 ** 24, 'Prompt and output together; without it what the model allows').optional(),
    max_num_waiting: integer(0, 2 ** 31, 'Requests that may wait; more are rejected as queue-full').optional(),
    enable_chunked_prefill: flag('Prompts may be computed in several steps').optional(),
    long_prefill_token_threshold: integer(
      0,
      2 ** 24,
      'Largest chunk of one prompt in one step; 0 = the budget alone limits',
    ).optional(),
    steps_in_flight: z
      .union([z.literal(1), z.literal(2)])
      .meta({ allowed: '1 or 2' })
      .describe('2 = plan a step while the one before still runs (vLLM: async scheduling)')
      .optional(),
    scheduling_policy: z.enum(['fcfs', 'priority']).describe('Who goes first among the waiting').optional(),
    priority_aging: duration(
      'With scheduling_policy priority: time in which a waiting request gains one level; 0s = no aging',
    ).optional(),
    admission_policy: z
      .enum(['as-needed', 'reserve-prompt', 'guaranteed-no-evict', 'overcommit'])
      .describe(
        'What must fit before a request is admitted: its first chunk (vLLM 0.15), its whole prompt, prompt and largest output of all (TensorRT-LLM), or an adaptive share of the outputs (SGLang)',
      )
      .optional(),
    watermark: z
      .number()
      .min(0)
      .lt(1)
      .describe('Share of blocks kept free when a request is admitted while others run')
      .optional(),
    victim_policy: z
      .enum(['tail', 'cost'])
      .describe('Who is preempted when blocks run out: the last in order, or the cheapest to bring back')
      .optional(),
    preemption_mode: z
      .enum(['recompute', 'swap'])
      .describe('How a preempted sequence comes back; swap wants one step in flight, or victims are mostly recomputed')
      .optional(),
    max_preemptions: integer(
      0,
      1e9,
      'With victim_policy cost: preempted this often, a sequence is a victim only if no other is left; 0 = no bound',
    ).optional(),
    max_bypass: integer(0, 1024, 'Requests looked at behind a head that does not fit; 0 = head-of-line').optional(),
    max_bypassed: integer(
      0,
      1e9,
      'How often a waiting request may be passed over in its life; then those behind it wait for it',
    ).optional(),
    admission_retry_steps: integer(
      0,
      1e9,
      'A request that lacked blocks is looked up again when so many are available, or after this many steps; 0 = at every step (vLLM)',
    ).optional(),
    siblings: z
      .enum(['fork', 'independent'])
      .describe('Requests with n > 1: share the prompt by copy-on-write, or run as n requests (vLLM)')
      .optional(),
    enable_prefix_caching: flag('Blocks of equal prefixes are shared').optional(),
    partial_prefix_hits: flag('Parts of a block are reused by copy-on-write').optional(),
    pending_prefix_hits: flag('A block may be hit before the step that computes it has ended').optional(),
    unpublish_unplanned: flag(
      'Blocks of a row that is taken out of a plan again lose their content; off: vLLM 0.15, which may hit them later',
    ).optional(),
    reuse_empty_first: flag('Blocks without content are taken before cached ones').optional(),
    fenced_frees: flag('Blocks freed under a step in flight are held back until it has ended').optional(),
    eos_token_ids: z
      .array(z.int().min(0))
      .describe('End-of-sequence ids, for backends that exchange tokens')
      .optional(),
    max_step_failures: integer(0, 1e9, 'Failed steps in a row after which their sequences end as error').optional(),
    fast_forward: flag('Runs of decode steps in one submission: same results, faster').optional(),
    check_interval: duration('Simulated time between full checks of all invariants; 0s = after every step').optional(),
  })
  .describe('Scheduler, block pool and prefix cache');

export type EngineSection = z.output<typeof engineSchema>;

type PlainKnob = {
  [K in keyof EngineSection]-?: NonNullable<EngineSection[K]> extends EngineConfig[keyof EngineConfig] ? K : never;
}[keyof EngineSection];

/**
 * Scenario name of each setting that is copied as it stands, and its name in `EngineConfig`. Beside them: profile picks the
 * profile, num_gpu_blocks, num_cpu_blocks and swap_space are the memory model's business, priority_aging and check_interval
 * are durations, speculation has a section of its own.
 */
export const ENGINE_KNOBS = {
  block_size: 'blockSize',
  max_num_seqs: 'sequencesMax',
  max_num_batched_tokens: 'tokensPerStepMax',
  max_model_len: 'modelLenMax',
  max_num_waiting: 'waitingMax',
  enable_chunked_prefill: 'chunkedPrefill',
  long_prefill_token_threshold: 'prefillChunkTokensMax',
  steps_in_flight: 'stepsInFlight',
  scheduling_policy: 'order',
  admission_policy: 'capacity',
  watermark: 'watermarkRatio',
  victim_policy: 'victim',
  preemption_mode: 'preemption',
  max_preemptions: 'preemptionsMax',
  max_bypass: 'bypassMax',
  max_bypassed: 'bypassedMax',
  admission_retry_steps: 'admissionRetrySteps',
  siblings: 'siblings',
  enable_prefix_caching: 'prefixCaching',
  partial_prefix_hits: 'partialPrefixHits',
  pending_prefix_hits: 'pendingPrefixHits',
  unpublish_unplanned: 'unpublishUnplanned',
  reuse_empty_first: 'reuseEmptyFirst',
  fenced_frees: 'fencedFrees',
  eos_token_ids: 'eosTokenIds',
  max_step_failures: 'failuresMax',
  fast_forward: 'fastForward',
} as const satisfies Partial<Record<PlainKnob, keyof EngineConfig>>;

/** Durations of the section, and their names in `EngineConfig`. */
export const ENGINE_DURATIONS = {
  priority_aging: 'agingNs',
  check_interval: 'checkIntervalNs',
} as const satisfies Partial<Record<keyof EngineSection, keyof EngineConfig>>;

/** What an engine section changes in its profile. Blocks are left out: see `RunSpec.engine`. */
export function engineChanges(section: EngineSection): Partial<EngineConfig> {
  const changes: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(ENGINE_KNOBS)) {
    const value = section[name as keyof typeof ENGINE_KNOBS];
    if (value !== undefined) changes[field] = value;
  }
  for (const [name, field] of Object.entries(ENGINE_DURATIONS)) {
    const value = section[name as keyof typeof ENGINE_DURATIONS];
    if (value !== undefined) changes[field] = durationNs(value);
  }
  return changes as Partial<EngineConfig>;
}

/** Names of the profiles, for messages and flags. */
export const ENGINE_PROFILE_NAMES: readonly EngineProfile[] = ['twinfer', 'vllm-v1'];

const share = (description: string) => z.number().min(0).max(1).describe(description);

/** Speculative decoding. Off when the section is missing. */
export const speculationSchema = z
  .strictObject({
    num_speculative_tokens: integer(1, 128, 'Drafts per sequence and step'),
    acceptance_rates: z
      .array(z.number().min(0).max(1))
      .min(1)
      .max(128)
      .describe(
        'Probability that the draft at each position is accepted, given that those before it were; the last one holds for the rest',
      ),
    lookahead_tokens: integer(0, 128, 'Slots reserved beyond the drafts, for proposers that write KV').default(0),
    disable_above_running: integer(1, 65_536, 'Off above this many running sequences').default(128),
    enable_below_running: integer(0, 65_536, 'On again at or below this many').default(96),
    disable_below_acceptance: share('Off when the moving acceptance rate falls below').default(0.3),
    enable_above_acceptance: share('Tried again, it stays on at or above this rate').default(0.4),
    retry_steps: integer(1, 1e9, 'Steps after which it is tried again').default(1000),
  })
  .describe('Speculative decoding');

export type SpeculationSection = z.output<typeof speculationSchema>;

/** Scenario name of each setting of speculation, and its name in `SpeculationConfig`. */
export const SPECULATION_KNOBS = {
  num_speculative_tokens: 'draftTokensMax',
  lookahead_tokens: 'lookaheadTokens',
  disable_above_running: 'runningOffMin',
  enable_below_running: 'runningOnMax',
  disable_below_acceptance: 'acceptanceOffMax',
  enable_above_acceptance: 'acceptanceOnMin',
  retry_steps: 'retrySteps',
} as const satisfies Partial<Record<keyof SpeculationSection, keyof SpeculationConfig>>;

/** The core's part of a speculation section. */
export function speculationConfig(section: SpeculationSection): SpeculationConfig {
  return {
    draftTokensMax: section.num_speculative_tokens,
    lookaheadTokens: section.lookahead_tokens,
    runningOffMin: section.disable_above_running,
    runningOnMax: section.enable_below_running,
    acceptanceOffMax: section.disable_below_acceptance,
    acceptanceOnMin: section.enable_above_acceptance,
    retrySteps: section.retry_steps,
  };
}
