/**
 * What an inference engine adds to the device's kernels, as data: coefficients fitted to serving measurements. All are times in
 * nanoseconds and not negative, or factors on kernel times of the device profile. Which effects matter: inference-sim/training and
 * vLLM 0.15 (`v1/worker/gpu_model_runner.py`, `v1/engine/core.py`).
 */
export interface EngineHostProfile {
  readonly formatVersion: 1;
  /** For example `vllm-0.15`. */
  readonly engine: string;
  readonly createdOn: string;
  /** Files and commands that the numbers come from. */
  readonly sources: readonly string[];

  /** Per step: input preparation, launch of the graph, sampler, the way to the worker and back. */
  readonly perStepNs: number;
  /** More of the same with tensor parallelism: workers are processes of their own. */
  readonly perStepTensorParallelNs: number;
  /** Per all-reduce, beyond what its kernel takes in a benchmark: GPUs wait for the last one. */
  readonly perCollectiveNs: number;
  readonly perLayerNs: number;
  /** Per kernel that no table of the device profile covers (norms, rotary embedding, activation), the gap before it included. */
  readonly perKernelNs: number;
  /** Per row of the step. */
  readonly perSequenceNs: number;
  /** Per token that the step samples. */
  readonly perOutputTokenNs: number;
  /** Per sampled row and vocabulary entry where top-p or top-k is set, beyond the measured sampling kernels of the device profile. */
  readonly samplingNsPerVocab: number;
  /** Per layer of a step of prompts that still fits a captured size: attention runs between pieces of the graph. */
  readonly piecewiseNsPerLayer: number;
  /** Per layer and kernel of a step beyond the captured graphs: launched one by one. */
  readonly eagerNsPerLayerKernel: number;

  /** vLLM `cudagraph_capture_sizes`: 1, 2, 4, then every 8 up to 256, then every 16, up to min(this, sequences * the next). */
  readonly captureTokensMax: number;
  readonly captureTokensPerSequence: number;

  /** Of a request: before the engine sees it and after its last token. */
  readonly requestBeforeNs: number;
  readonly requestAfterNs: number;
  /** Tokeniser and API, before the engine sees the request. */
  readonly perPromptTokenNs: number;
  /** Before the client sees its first token, per sequence that runs then. */
  readonly firstTokenNsPerSequence: number;
  /** This share of the requests gets its first token up to `nsMax` later, evenly spread: API server or client did something else first. */
  readonly slowFirstTokens: { readonly share: number; readonly nsMax: number };

  /** Compiling the grouped products of fused experts for a variant that did not occur before (`StallingTimingModel`). 0 = never. */
  readonly expertCompileNs: number;

  /** How unevenly routes spread over experts, 0 (evenly) to 1.5: see `expertCoverage`. */
  readonly routeSkew: number;
  /** Factors on the times of the device profile, within HOST_PROFILE_BOUNDS.scale. */
  readonly scale: DeviceTimeScale;

  /** How far predictions of held-out stages were off: what intervals are made of. Empty: predictions have none. */
  readonly residuals: readonly HostResidual[];
}

/** What the error of a prediction depends on. */
export interface PredictionRegime {
  /** Requests per second as a share of the most that the configuration sustains (`capacityEstimate`); above 1 the queue grows. */
  readonly load: number;
  /** Prompts that nobody had sent before are among the requests. */
  readonly cold: boolean;
  readonly tensorParallel: number;
  readonly family: 'dense' | 'experts';
  readonly weightFormat: 'bf16' | 'fp8';
  /** Parts of the model that lie outside of the device profile's tables (`DeviceOperators.extrapolations`). */
  readonly extrapolations: number;
}

/** Headline figures that carry an interval. Latencies are those that the client sees. */
export const PREDICTED_METRICS = [
  'ttftMean',
  'ttftP50',
  'ttftP90',
  'ttftP99',
  'tpotMean',
  'e2eMean',
  'e2eP50',
  'e2eP99',
  'throughput',
] as const;
export type PredictedMetric = (typeof PREDICTED_METRICS)[number];

/** One measured stage against its prediction by a profile that was fitted without its model. */
export interface HostResidual extends PredictionRegime {
  /** The model left out. */
  readonly model: string;
  /** predicted / measured - 1; absent where that figure was not measured. */
  readonly errors: Readonly<Partial<Record<PredictedMetric, number>>>;
}

export interface DeviceTimeScale {
  readonly gemm: number;
  /** Experts in 16 bit. */
  readonly moe: number;
  /** Experts in fp8: other kernels than those of the tables. */
  readonly moeFp8: number;
  readonly decodeAttention: number;
  readonly prefillAttention: number;
  readonly allReduce: number;
  readonly elementwise: number;
  readonly sampling: number;
}

/**
 * Physical bounds of a fit. Times: from nothing to what a slow host could take. Factors: below 1 only by the spread between kernel
 * versions; a model refuses to be faster than the roofline of the measured peaks whatever they are.
 */
export const HOST_PROFILE_BOUNDS = {
  stepNs: [0, 5_000_000],
  layerNs: [0, 200_000],
  kernelNs: [500, 10_000],
  sequenceNs: [0, 50_000],
  samplingNsPerVocab: [0, 2],
  collectiveNs: [0, 20_000],
  routeSkew: [0, 1.5],
  requestNs: [0, 50_000_000],
  firstTokenNs: [0, 500_000],
  perPromptTokenNs: [0, 100_000],
  compileNs: [0, 10_000_000_000],
  scale: {
    gemm: [0.9, 1.3],
    moe: [0.8, 1.6],
    moeFp8: [0.8, 1.6],
    decodeAttention: [0.85, 1.4],
    prefillAttention: [0.85, 1.5],
    allReduce: [0.9, 2],
    elementwise: [0.8, 3],
    sampling: [0.5, 1.5],
  },
} as const;

/** Device times as the tables have them and an engine that costs nothing: what is measured is added to this. */
export const UNIT_SCALE: DeviceTimeScale = {
  gemm: 1,
  moe: 1,
  moeFp8: 1,
  decodeAttention: 1,
  prefillAttention: 1,
  allReduce: 1,
  elementwise: 1,
  sampling: 1,
};

/** Tokens of the largest graph that is captured for batches of `sequencesMax` (vLLM `VllmConfig._set_cudagraph_sizes`). */
export function captureTokensLimit(profile: EngineHostProfile, sequencesMax: number): number {
  return Math.min(profile.captureTokensMax, profile.captureTokensPerSequence * sequencesMax);
}

/** Tokens that a graph replays for a step of `tokens`: the next captured size; `tokens` itself beyond `limit`. */
export function paddedTokens(tokens: number, limit: number): number {
  if (tokens > limit || tokens <= 2) return tokens;
  const padded = tokens <= 4 ? 4 : tokens <= 256 ? Math.ceil(tokens / 8) * 8 : Math.ceil(tokens / 16) * 16;
  return Math.min(padded, limit);
}
