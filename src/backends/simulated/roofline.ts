import { allReduceNs, type DeviceSpec } from './device.ts';
import { expertCoverage } from './expert-shape.ts';
import { formatBytes, type ModelShape } from './model-shape.ts';
import { type ModelShard, shardModel } from './shard.ts';
import type { StepLoad, TimingModel } from './timing-model.ts';

/** What a step costs on the host's side of the device (launches, sampling, input preparation), and between kernels. */
export interface RooflineOverheads {
  /** Per step: input preparation, sampling, the way to the worker and back. */
  readonly stepNs: number;
  /** The same with tensor parallelism: workers are processes of their own. */
  readonly stepTensorParallelNs: number;
  /** Per row. */
  readonly sequenceNs: number;
  /** Per layer: norms, rotary embedding, KV write, activation and the gaps between kernels, at one token. */
  readonly layerNs: number;
  /** Per layer, when kernels are launched one by one: a floor under the layer's own time. */
  readonly eagerLayerNs: number;
  /** Largest step that replays a captured CUDA graph, tokens. */
  readonly graphTokensMax: number;
}

/**
 * vLLM 0.15.1. Set by hand, inside the ranges of fits to its published runs (inference-sim/training: 32 us a layer and 126 us a step, or 43 us
 * a layer alone), so that Llama-3.1-8B at 15 and 44 sequences gives the measured 7.5 and 8.9 ms. vLLM captures graphs up to
 * 512 tokens by default; ten launches of 10 us stand for a layer outside of them.
 */
const VLLM_OVERHEADS: RooflineOverheads = {
  stepNs: 350_000,
  stepTensorParallelNs: 400_000,
  sequenceNs: 3_000,
  layerNs: 23_000,
  eagerLayerNs: 100_000,
  graphTokensMax: 512,
};

export interface RooflineOptions {
  readonly tensorParallel: number;
  /** Steps of up to this many tokens are looked up, larger ones computed. */
  readonly tokensPerStepMax: number;
  readonly overheads?: RooflineOverheads;
}

const TABLE_TOKENS_MAX = 65_536;

/**
 * Roofline (Williams et al., CACM 2009) per operator, with measured efficiencies: each GEMM takes the longer of its arithmetic and its
 * traffic, plus a launch floor; attention is by query-key pairs (prefill) and by KV bytes (decode); operators add up. Everything that depends
 * on the number of tokens alone is a table made at the start, so that a step is a few additions.
 */
export class RooflineTimingModel implements TimingModel {
  private readonly shape: ModelShape;
  private readonly device: DeviceSpec;
  private readonly shard: ModelShard;
  private readonly overheads: RooflineOverheads;
  /** linear[t]: all layers without attention, and the step's fixed costs, for t tokens. */
  private readonly linear: Float64Array;
  /** logits[r]: LM head for r rows. */
  private readonly logits: Float64Array;

  private readonly rowNs: number;
  private readonly decodeFloorNs: number;
  private readonly decodeNsPerToken: number;
  private readonly prefillFloorNs: number;
  private readonly prefillNsPerPair: number;
  private readonly swapFloorNs: number;
  private readonly swapNsPerToken: number;
  private readonly copyNsPerToken: number;
  private readonly blockSize: number;
  private readonly linearBytes: number;
  private readonly logitsBytes: number;
  private readonly kvBytesPerToken: number;
  private readonly stateBytesPerToken: number;

  constructor(shape: ModelShape, device: DeviceSpec, blockSize: number, options: RooflineOptions) {
    const shard = shardModel(shape, options.tensorParallel);
    const overheads = options.overheads ?? VLLM_OVERHEADS;
    this.shape = shape;
    this.device = device;
    this.shard = shard;
    this.overheads = overheads;
    this.blockSize = blockSize;

    const { efficiency, floors } = device;
    this.rowNs = overheads.sequenceNs;
    this.kvBytesPerToken = shard.kvBytesPerToken;
    this.decodeFloorNs = shape.layers * floors.decodeAttentionNs;
    this.decodeNsPerToken = (shard.kvBytesPerToken * 1e9) / (device.hbmBytesPerSecond * efficiency.decodeAttention);
    this.prefillFloorNs = shape.layers * floors.prefillAttentionNs;
    // QK and PV: two products of 2 operations per pair and element of the query width.
    this.prefillNsPerPair =
      (shape.layers * 4 * shard.queryWidth * 1e9) / (device.bf16FlopsPerSecond * efficiency.prefillAttention);
    this.swapFloorNs = floors.transferNs;
    this.swapNsPerToken = (shard.kvBytesPerToken * 1e9) / (device.pcieBytesPerSecond * efficiency.pcie);
    // A copy reads and writes.
    this.copyNsPerToken = (2 * shard.kvBytesPerToken * 1e9) / (device.hbmBytesPerSecond * efficiency.copy);

    this.logitsBytes = shard.vocabSize * shape.hiddenSize * 2;
    this.linearBytes = linearBytes(shape, shard);
    this.stateBytesPerToken = shape.layers * this.layerStateBytes();

    const entries = Math.min(options.tokensPerStepMax, TABLE_TOKENS_MAX) + 1;
    this.linear = new Float64Array(entries);
    this.logits = new Float64Array(entries);
    for (let i = 0; i < entries; i++) {
      this.linear[i] = this.linearStepNs(i);
      this.logits[i] = this.logitsStepNs(i);
    }
  }

  stepNs(load: StepLoad, decodeContextTokens: number): number {
    const tokens = load.prefillTokens + load.decodeTokens;
    // Every draft is verified by logits of its own.
    const logitRows = load.sampledRows + load.decodeTokens - load.decodeRows;
    let ns = tokens < this.linear.length ? this.linear[tokens]! : this.linearStepNs(tokens);
    ns += logitRows < this.logits.length ? this.logits[logitRows]! : this.logitsStepNs(logitRows);
    ns += (load.decodeRows + load.prefillRows) * this.rowNs;
    if (load.decodeRows > 0) {
      ns += this.decodeFloorNs + (decodeContextTokens + load.decodeTokens) * this.decodeNsPerToken;
    }
    if (load.prefillRows > 0) {
      const compute = load.prefillAttentionPairs * this.prefillNsPerPair;
      const read = (load.prefillContextTokens + load.prefillTokens) * this.decodeNsPerToken;
      ns += this.prefillFloorNs + (compute > read ? compute : read);
    }
    return ns >= 1.5 ? Math.round(ns) : 1;
  }

  stepBytes(load: StepLoad, decodeContextTokens: number): number {
    const tokens = load.prefillTokens + load.decodeTokens;
    return (
      this.linearBytes +
      (load.sampledRows > 0 ? this.logitsBytes : 0) +
      (decodeContextTokens + load.prefillContextTokens + tokens) * this.kvBytesPerToken +
      tokens * this.stateBytesPerToken
    );
  }

  swapNs(blocksOut: number, blocksIn: number): number {
    let ns = 0;
    if (blocksOut > 0) ns += this.swapFloorNs + blocksOut * this.blockSize * this.swapNsPerToken;
    if (blocksIn > 0) ns += this.swapFloorNs + blocksIn * this.blockSize * this.swapNsPerToken;
    return Math.round(ns);
  }

  copyNs(blocks: number): number {
    return blocks === 0 ? 0 : Math.round(this.device.floors.gemmNs + blocks * this.blockSize * this.copyNsPerToken);
  }

  /**
   * Time of y[m, n] = x[m, k] * w[k, n], ns: max(2 m n k / rate, (weights + activations) / bandwidth) + floor. A GPU without fp8 units
   * multiplies in bf16 and saves only the traffic.
   */
  gemmNs(m: number, n: number, k: number, format: 'bf16' | 'fp8'): number {
    const { device } = this;
    const fp8 = format === 'fp8' && device.fp8FlopsPerSecond !== null;
    const rate = fp8
      ? device.fp8FlopsPerSecond! * device.efficiency.gemmFp8
      : device.bf16FlopsPerSecond * device.efficiency.gemmBf16;
    const compute = (2 * m * n * k * 1e9) / rate;
    const bytes = n * k * (format === 'fp8' ? 1 : 2) + 2 * m * (n + k);
    const traffic = (bytes * 1e9) / (device.hbmBytesPerSecond * device.efficiency.gemmBandwidth);
    return Math.max(compute, traffic) + (fp8 ? device.floors.gemmFp8Ns : device.floors.gemmNs);
  }

  private linearStepNs(tokens: number): number {
    const { shape, shard, overheads } = this;
    const format = shape.weightFormat;
    const hidden = shape.hiddenSize;
    const gemms =
      this.gemmNs(tokens, shard.queryWidth + 2 * shard.kvWidth, hidden, shape.attentionFormat) +
      this.gemmNs(tokens, hidden, shard.queryWidth, shape.attentionFormat) +
      (shard.intermediateSize === 0
        ? 0
        : this.gemmNs(tokens, 2 * shard.intermediateSize, hidden, format) +
          this.gemmNs(tokens, hidden, shard.intermediateSize, format)) +
      this.expertsNs(tokens);
    const elementwise =
      (tokens * this.layerStateBytes() * 1e9) / (this.device.hbmBytesPerSecond * this.device.efficiency.copy);
    const reduce = allReduceNs(this.device, shard.tensorParallel, tokens * hidden);
    const kernels = gemms + elementwise + overheads.layerNs + 2 * reduce;
    const layer = tokens > overheads.graphTokensMax ? Math.max(kernels, overheads.eagerLayerNs) : kernels;
    // One more all-reduce: the vocabulary-parallel embedding.
    const step = shard.tensorParallel > 1 ? overheads.stepTensorParallelNs : overheads.stepNs;
    return shape.layers * layer + reduce + step;
  }

  /** Grouped products of a mixture of experts: weights of the experts that some token goes to, arithmetic of all routes. */
  private expertsNs(tokens: number): number {
    const { shape, shard, device } = this;
    if (shape.experts === null) return 0;
    const format = shape.weightFormat;
    const weights = 3 * shape.hiddenSize * shard.expertIntermediateSize;
    const read = shape.experts.count * expertCoverage(shape.experts, tokens) * weights * formatBytes(format);
    const fp8 = format === 'fp8' && device.fp8FlopsPerSecond !== null;
    const rate = fp8
      ? device.fp8FlopsPerSecond! * device.efficiency.gemmFp8
      : device.bf16FlopsPerSecond * device.efficiency.gemmBf16;
    const compute = (2 * tokens * shape.experts.perToken * weights * 1e9) / rate;
    const traffic = (read * 1e9) / (device.hbmBytesPerSecond * device.efficiency.gemmBandwidth);
    return Math.max(compute, traffic) + 2 * device.floors.gemmNs;
  }

  private logitsStepNs(rows: number): number {
    return rows === 0 ? 0 : this.gemmNs(rows, this.shard.vocabSize, this.shape.hiddenSize, 'bf16');
  }

  /**
   * Traffic of the element-wise kernels of a layer per token: two fused add-and-norms (read input and residual, write both), rotary embedding
   * and KV write (read and write qkv), activation (read gate and up, write their product); 2 bytes an element.
   */
  private layerStateBytes(): number {
    const { shape, shard } = this;
    const inner = shard.intermediateSize + (shape.experts?.perToken ?? 0) * shard.expertIntermediateSize;
    return 2 * (2 * 4 * shape.hiddenSize + 2 * (shard.queryWidth + 2 * shard.kvWidth) + 3 * inner);
  }
}

/** Weights of all layers' matrix products, of one GPU; a mixture of experts with all experts in use. */
function linearBytes(shape: ModelShape, shard: ModelShard): number {
  const attention = 2 * shard.queryWidth + 2 * shard.kvWidth;
  const inner = shard.intermediateSize + (shape.experts?.count ?? 0) * shard.expertIntermediateSize;
  return (
    shape.layers *
    shape.hiddenSize *
    (attention * formatBytes(shape.attentionFormat) + 3 * inner * formatBytes(shape.weightFormat))
  );
}
