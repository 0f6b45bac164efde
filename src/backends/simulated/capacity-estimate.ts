import type { StepLoad, TimingModel } from './timing-model.ts';

/** Limits of the engine that a batch can run into. */
export interface BatchLimits {
  readonly sequencesMax: number;
  readonly tokensPerStepMax: number;
  readonly blocksTotal: number;
  readonly blockSize: number;
}

/** The mean request of a load, tokens. */
export interface MeanRequest {
  /** Prompt, found in the prefix cache or not. */
  readonly promptTokens: number;
  /** Of these computed. */
  readonly computedTokens: number;
  readonly outputTokens: number;
}

/** What runs out first when the rate grows; device-time: a larger batch would not serve more. */
export type BindingResource = 'device-time' | 'sequences' | 'kv-blocks' | 'token-budget';

export interface CapacityEstimate {
  readonly requestsPerSecond: number;
  /** Sequences of the batch that serves them. */
  readonly batch: number;
  readonly binding: BindingResource;
}

/** A batch so much larger that serves less than so much more shows that the device itself is at its end. */
const LARGER = 1.25;
const GAIN_MIN = 1.05;

/**
 * The most that a configuration serves, from the step times of the largest batch that its limits allow: of B sequences, B / output end in each
 * step, and as many prompts take their places. Free of queueing: a search by simulation (`twinfer saturate`) finds the rate itself, this
 * is the scale. null for requests without output.
 */
export function capacityEstimate(
  timing: TimingModel,
  limits: BatchLimits,
  request: MeanRequest,
): CapacityEstimate | null {
  const { outputTokens: output, computedTokens } = request;
  if (!(output >= 1)) return null;
  // Blocks that a sequence has for itself half-way through its output; the last one is half empty.
  const ownBlocks = (computedTokens + output / 2) / limits.blockSize + 0.5;
  const batches: readonly (readonly [BindingResource, number])[] = [
    ['sequences', limits.sequencesMax],
    ['kv-blocks', limits.blocksTotal / ownBlocks],
    ['token-budget', limits.tokensPerStepMax / (1 + computedTokens / output)],
  ];
  const [resource, most] = batches.reduce((least, each) => (each[1] < least[1] ? each : least));
  const batch = Math.max(1, Math.floor(most));
  const requestsPerSecond = servedPerSecond(timing, request, batch);
  const gain = servedPerSecond(timing, request, Math.ceil(LARGER * batch)) / requestsPerSecond;
  return { requestsPerSecond, batch, binding: gain < GAIN_MIN ? 'device-time' : resource };
}

/** Requests per second of a steady batch: steps with a prompt and steps without have their shares of the time. */
function servedPerSecond(timing: TimingModel, request: MeanRequest, batch: number): number {
  const { promptTokens, computedTokens, outputTokens } = request;
  const endsPerStep = batch / outputTokens;
  const prompts = Math.max(1, endsPerStep);
  const withPrompts = Math.min(1, endsPerStep);
  const context = batch * (promptTokens + outputTokens / 2);
  const tokens = prompts * computedTokens;
  const mixed: StepLoad = {
    decodeRows: batch,
    decodeTokens: batch,
    prefillRows: Math.round(prompts),
    prefillTokens: Math.round(tokens),
    prefillContextTokens: Math.round(prompts * (promptTokens - computedTokens)),
    // A row of t tokens behind c of context: t c + t (t + 1) / 2.
    prefillAttentionPairs: Math.round(
      prompts * computedTokens * (promptTokens - computedTokens + (computedTokens + 1) / 2),
    ),
    sampledRows: batch + Math.round(prompts),
  };
  const decode: StepLoad = {
    ...mixed,
    prefillRows: 0,
    prefillTokens: 0,
    prefillContextTokens: 0,
    prefillAttentionPairs: 0,
    sampledRows: batch,
  };
  const meanNs =
    withPrompts * timing.stepNs(mixed, context) + (1 - withPrompts) * timing.stepNs(decode, Math.round(context));
  return (endsPerStep * 1e9) / meanNs;
}
