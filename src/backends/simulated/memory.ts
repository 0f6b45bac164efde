import type { DeviceSpec } from './device.ts';
import type { ModelShape } from './model-shape.ts';
import { type ModelShard, shardModel } from './shard.ts';

/** A model that does not fit. The message names every size. */
export class MemoryError extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = 'MemoryError';
  }
}

export interface MemoryOptions {
  readonly tensorParallel: number;
  readonly blockSize: number;
  readonly tokensPerStepMax: number;
  readonly sequencesMax: number;
  /** Share of the device that the engine may use, in (0, 1]; vLLM `gpu_memory_utilization`, 0.9 by default there. */
  readonly gpuMemoryUtilization: number;
  /** Host memory per GPU for swapped blocks, bytes; 0 = no swap. */
  readonly hostSwapBytes: number;
  /** vLLM `num_gpu_blocks_override`; null = as many as fit. */
  readonly blocksOverride: number | null;
}

/** Where the memory of each GPU goes, bytes per GPU. */
export interface MemoryPlan {
  readonly totalBytes: number;
  /** total * gpuMemoryUtilization. */
  readonly budgetBytes: number;
  readonly weightBytes: number;
  readonly activationBytes: number;
  /** Libraries, allocator slack, NCCL. */
  readonly runtimeBytes: number;
  readonly blockBytes: number;
  readonly kvBytes: number;
  readonly blocksTotal: number;
  readonly hostBlocksTotal: number;
}

const GIB = 2 ** 30;

/**
 * Constants below were fitted to the KV blocks that vLLM 0.15.1 resolved on H100 SXM (inference-sim/training, more-models runs): Qwen2.5-7B
 * 65,352 and 65,368, Llama-2-7B 7,463, Llama-3.1-70B TP 4 30,425 and 30,251; all within 0.1 %.
 * SAMPLER: the dummy sampler of vLLM's profile run sorts float logits of max_num_seqs rows over the whole vocabulary (values, int64
 * indices, sort scratch, probabilities, cumulative sum): 58 bytes an entry. It, not the MLP, is the peak of large-vocabulary models.
 */
const SAMPLER_BYTES_PER_LOGIT = 58;
/** Libraries and slack that the profile run sees beyond PyTorch's tensors. */
const RUNTIME_BYTES = 0.16 * GIB;
/**
 * What the profile run of a model with a vision tower leaves beside its weights (encoder run on the largest image, encoder cache). Fitted to
 * the 8,253 blocks of Llama-4-Scout fp8, TP 2, the only such run.
 */
const VISION_PROFILE_BYTES = 4.044 * GIB;
/** NCCL and custom all-reduce buffers of one GPU. */
const COLLECTIVE_BYTES = 0.17 * GIB;

/**
 * Resolves the KV pool as vLLM 0.15 does (`gpu_worker.determine_available_memory`): total * utilization - weights - peak activation - what
 * the runtime took; CUDA graphs are captured later, out of the rest of the device. Throws MemoryError when not one block fits.
 */
export function planMemory(shape: ModelShape, device: DeviceSpec, options: MemoryOptions): MemoryPlan {
  const { tensorParallel: tp, blockSize, gpuMemoryUtilization } = options;
  positive('tensorParallel', tp);
  positive('blockSize', blockSize);
  positive('tokensPerStepMax', options.tokensPerStepMax);
  positive('sequencesMax', options.sequencesMax);
  if (!(gpuMemoryUtilization > 0 && gpuMemoryUtilization <= 1)) {
    throw new MemoryError(`gpuMemoryUtilization: ${gpuMemoryUtilization} is not allowed; a number in (0, 1]`);
  }
  if (!(options.hostSwapBytes >= 0 && Number.isFinite(options.hostSwapBytes))) {
    throw new MemoryError(`hostSwapBytes: ${options.hostSwapBytes} is not allowed; a number of bytes, 0 for no swap`);
  }
  if (tp > device.gpusPerNode) {
    throw new MemoryError(
      `tensorParallel: ${tp} is not allowed; ${device.name} has ${device.gpusPerNode} GPUs a server`,
    );
  }
  const shard = shardModel(shape, tp);
  const totalBytes = Math.floor(device.memoryTotalBytes);
  const budgetBytes = Math.floor(totalBytes * gpuMemoryUtilization);
  const activationBytes = activationPeakBytes(shape, shard, options);
  const runtimeBytes = Math.ceil(RUNTIME_BYTES + (tp > 1 ? COLLECTIVE_BYTES : 0));
  const blockBytes = shard.kvBytesPerToken * blockSize;
  const available = budgetBytes - shard.weightBytes - activationBytes - runtimeBytes;
  if (options.blocksOverride !== null) positive('blocksOverride', options.blocksOverride);
  const blocksTotal = options.blocksOverride ?? Math.max(0, Math.floor(available / blockBytes));
  // An override may use what the utilization left free, as in vLLM, but not more than the device has.
  const slack = options.blocksOverride === null ? 0 : totalBytes - budgetBytes;
  if (blocksTotal === 0 || blocksTotal * blockBytes > available + slack) {
    throw new MemoryError(
      `${shape.name} does not fit on ${tp} x ${device.name}: per GPU, weights ${gib(shard.weightBytes)} + activations ` +
        `${gib(activationBytes)} + runtime ${gib(runtimeBytes)} + ${Math.max(1, blocksTotal)} KV blocks of ` +
        `${(blockBytes / 2 ** 20).toFixed(2)} MiB exceed ${gib(budgetBytes + slack)} (${slack > 0 ? 'all' : gpuMemoryUtilization} of ${gib(totalBytes)})`,
    );
  }
  return {
    totalBytes,
    budgetBytes,
    weightBytes: shard.weightBytes,
    activationBytes,
    runtimeBytes,
    blockBytes,
    kvBytes: blocksTotal * blockBytes,
    blocksTotal,
    hostBlocksTotal: Math.floor(options.hostSwapBytes / blockBytes),
  };
}

/**
 * Peak of a profile run of tokensPerStepMax tokens: the widest point of a layer (residual, normed input, gate and up; of experts, the rows
 * of every token's experts before and after their activation), or the sampler beside the output and residual of all tokens, whichever is more.
 */
function activationPeakBytes(shape: ModelShape, shard: ModelShard, options: MemoryOptions): number {
  const tokens = options.tokensPerStepMax;
  const states = tokens * shape.hiddenSize * 2 * 2;
  const dense = 2 * shard.intermediateSize;
  const experts =
    shape.experts === null
      ? 0
      : shape.experts.perToken *
        (shard.expertIntermediateSize + Math.max(2 * shard.expertIntermediateSize, shape.hiddenSize));
  const layer = states + tokens * 2 * (dense + experts);
  const sampler = states + options.sequencesMax * shape.vocabSize * SAMPLER_BYTES_PER_LOGIT;
  return Math.max(layer, sampler) + (shape.visionParameters > 0 ? VISION_PROFILE_BYTES : 0);
}

function positive(field: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new MemoryError(`${field}: ${value} is not allowed; a whole number of at least 1`);
  }
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(2)} GiB`;
}
