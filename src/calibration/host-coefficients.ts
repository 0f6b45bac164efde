import {
  defaultSampling,
  type EngineHostProfile,
  HOST_PROFILE_BOUNDS,
  UNIT_SCALE,
} from '../backends/simulated/index.ts';
import type { Unknown } from './robust-least-squares.ts';
import type { ServingTarget } from './serving-run.ts';

const BOUNDS = HOST_PROFILE_BOUNDS;

/** A coefficient of the host profile. `centre` and `spread` come from what is known without any serving measurement: see each. */
export interface HostCoefficient extends Unknown {
  /** Runs that it changes; all of them unless told. */
  readonly of?: (target: ServingTarget) => boolean;
  /** Chance decides when it is met: off in the short runs that show what the others change, and on or off in its own. */
  readonly byChance?: true;
}

const parallel = ({ run }: ServingTarget) => run.tensorParallel > 1;
const experts = ({ model }: ServingTarget) => model.experts !== null;
/** Their kernels are compiled when first-time prompts first need them. */
export const wideExperts = (target: ServingTarget) => experts(target) && target.model.weightFormat === 'bf16';
const fp8Experts = (target: ServingTarget) => experts(target) && target.model.weightFormat === 'fp8';
const filtered = ({ run }: ServingTarget) => defaultSampling(run.model) !== 'plain';

/**
 * Centres and spreads. Host times: what 10 to 20 launches, a message between processes, a tokeniser's call take (`bench/gpu/README.md`: 11 to 22 us a
 * launch, 109 us a compiled layer); what a sequence costs the host is hidden by asynchronous scheduling but for little. Kernels: the element-wise
 * floor of the device profile and the gap before. Factors: kernels measured on an H100 against the tables (the same file: experts 4 % faster
 * in bf16, 5 to 16 % in fp8; sampling and decode attention measured themselves), give or take what versions of libraries differ by; products between
 * the tables (warm) and that machine (cold). Skew: what the MoE tables of ai-dynamo/aiconfigurator with power-law routes (1.01) show over those
 * with even ones.
 */
export const HOST_COEFFICIENTS: readonly HostCoefficient[] = [
  { name: 'perStepNs', centre: 200_000, spread: 0.7, bounds: BOUNDS.stepNs },
  { name: 'perStepTensorParallelNs', centre: 200_000, spread: 0.7, bounds: BOUNDS.stepNs, of: parallel },
  { name: 'perCollectiveNs', centre: 3_000, spread: 0.7, bounds: BOUNDS.collectiveNs, of: parallel },
  { name: 'perKernelNs', centre: 2_000, spread: 0.4, bounds: BOUNDS.kernelNs },
  { name: 'perSequenceNs', centre: 1_000, spread: 0.7, bounds: BOUNDS.sequenceNs },
  { name: 'piecewiseNsPerLayer', centre: 10_000, spread: 0.8, bounds: BOUNDS.layerNs },
  { name: 'eagerNsPerLayerKernel', centre: 20_000, spread: 0.7, bounds: BOUNDS.layerNs },
  { name: 'requestBeforeNs', centre: 3_000_000, spread: 0.5, bounds: BOUNDS.requestNs },
  { name: 'perPromptTokenNs', centre: 2_000, spread: 0.4, bounds: BOUNDS.perPromptTokenNs },
  { name: 'firstTokenNsPerSequence', centre: 50_000, spread: 0.5, bounds: BOUNDS.firstTokenNs },
  { name: 'expertCompileNs', centre: 1e9, spread: 0.2, bounds: BOUNDS.compileNs, of: wideExperts, byChance: true },
  { name: 'routeSkew', centre: 0.4, spread: 0.6, bounds: BOUNDS.routeSkew, of: experts },
  { name: 'scale.gemm', centre: 0.97, spread: 0.04, bounds: BOUNDS.scale.gemm },
  { name: 'scale.moe', centre: 0.97, spread: 0.05, bounds: BOUNDS.scale.moe, of: wideExperts },
  { name: 'scale.moeFp8', centre: 0.93, spread: 0.05, bounds: BOUNDS.scale.moeFp8, of: fp8Experts },
  { name: 'scale.sampling', centre: 1, spread: 0.1, bounds: BOUNDS.scale.sampling, of: filtered },
  { name: 'scale.decodeAttention', centre: 1, spread: 0.04, bounds: BOUNDS.scale.decodeAttention },
  { name: 'scale.allReduce', centre: 1.1, spread: 0.12, bounds: BOUNDS.scale.allReduce, of: parallel },
];

/**
 * Not fitted, by eye and the same for every model: in warm stages whose median is known the mean TTFT lies 0.05 to 0.4 ms farther above it than steps
 * explain, and in half of the warm stages more than 1 % of the requests come 14 to 21 ms after the last that steps explain.
 */
const SLOW_FIRST_TOKENS = { share: 0.005, nsMax: 50_000_000 };

/** What a fit does not find. */
export type HostProfileHead = Pick<EngineHostProfile, 'engine' | 'createdOn' | 'sources'>;

/** The profile of coefficients given as logarithms, in the order of HOST_COEFFICIENTS. */
export function hostProfile(logs: readonly number[], about: HostProfileHead): EngineHostProfile {
  const value = (name: string) => Math.exp(logs[HOST_COEFFICIENTS.findIndex((entry) => entry.name === name)]!);
  const ns = (name: string) => Math.round(value(name));
  const factor = (name: string) => Number(value(name).toFixed(4));
  const requestNs = ns('requestBeforeNs');
  return {
    formatVersion: 1,
    engine: about.engine,
    createdOn: about.createdOn,
    sources: about.sources,
    perStepNs: ns('perStepNs'),
    perStepTensorParallelNs: ns('perStepTensorParallelNs'),
    perCollectiveNs: ns('perCollectiveNs'),
    perLayerNs: 0,
    perKernelNs: ns('perKernelNs'),
    perSequenceNs: ns('perSequenceNs'),
    perOutputTokenNs: 0,
    samplingNsPerVocab: 0,
    piecewiseNsPerLayer: ns('piecewiseNsPerLayer'),
    eagerNsPerLayerKernel: ns('eagerNsPerLayerKernel'),
    // vLLM 0.15: `max_cudagraph_capture_size = min(max_num_seqs * 2, 512)`.
    captureTokensMax: 512,
    captureTokensPerSequence: 2,
    requestBeforeNs: requestNs,
    requestAfterNs: requestNs,
    perPromptTokenNs: ns('perPromptTokenNs'),
    firstTokenNsPerSequence: ns('firstTokenNsPerSequence'),
    slowFirstTokens: SLOW_FIRST_TOKENS,
    expertCompileNs: ns('expertCompileNs'),
    routeSkew: factor('routeSkew'),
    scale: {
      ...UNIT_SCALE,
      gemm: factor('scale.gemm'),
      moe: factor('scale.moe'),
      moeFp8: factor('scale.moeFp8'),
      sampling: factor('scale.sampling'),
      decodeAttention: factor('scale.decodeAttention'),
      allReduce: factor('scale.allReduce'),
    },
    residuals: [],
  };
}
