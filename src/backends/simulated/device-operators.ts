import type { DeviceProfile, SamplingKind } from './device-profile.ts';
import { expertCoverage } from './expert-shape.ts';
import { CollectiveTimes } from './kernels/collective-times.ts';
import { DecodeAttentionTimes } from './kernels/decode-attention.ts';
import { GemmTimes, gemmFloorNs } from './kernels/gemm-times.ts';
import { MoeTimes } from './kernels/moe-times.ts';
import { PrefillAttentionTimes } from './kernels/prefill-attention.ts';
import { samplingByRows } from './kernels/sampling-times.ts';
import { formatBytes, type ModelShape, type WeightFormat } from './model-shape.ts';
import { type ModelShard, shardModel } from './shard.ts';

export interface OperatorOptions {
  readonly tensorParallel: number;
  readonly tokensPerStepMax: number;
  readonly sequencesMax: number;
}

interface Linear {
  readonly what: string;
  readonly n: number;
  readonly k: number;
  readonly format: WeightFormat;
  /** Of a shared expert: runs beside the routed ones, so that of few tokens only the reading of its weights is left. */
  readonly beside?: boolean;
}

/** vLLM 0.15, `VLLM_SHARED_EXPERTS_STREAM_TOKEN_THRESHOLD`: a shared expert has a stream of its own up to here. */
const BESIDE_TOKENS_MAX = 256;

const PENALTY_KERNELS = 14;

/** Larger steps are read from the last entry, in proportion. */
const TABLE_TOKENS_MAX = 16_384;

/**
 * Device times of one model on GPUs of one profile, ns: of all layers, by tokens of the step (index 0 = none) where that alone decides.
 * Nothing here depends on the engine, so fits of its coefficients share one instance.
 */
export class DeviceOperators {
  readonly profile: DeviceProfile;
  readonly shape: ModelShape;
  readonly shard: ModelShard;
  readonly tokensMax: number;
  readonly rowsMax: number;
  /** Matrix products of the layers, experts aside; and the least that they could take at the measured peaks. */
  readonly gemm: Float64Array;
  readonly gemmFloor: Float64Array;
  /** All-reduces: two a layer and one of the embedding; zeros for one GPU. */
  readonly allReduce: Float64Array;
  /** How many of them a step has; 0 for one GPU. */
  readonly allReduces: number;
  /** Traffic of the element-wise kernels; their launches are counted by `kernelsPerLayer`. */
  readonly elementwise: Float64Array;
  /** LM head by rows that need logits, with the gathering of its shares. */
  readonly logits: Float64Array;
  /** Sampling by rows; and what penalties add. */
  readonly sampling: Readonly<Record<SamplingKind | 'penalties', Float64Array>>;
  readonly decode: DecodeAttentionTimes;
  readonly prefill: PrefillAttentionTimes;
  /** Kernels of a layer that no table covers. */
  readonly kernelsPerLayer: number;
  /** All kernels of a layer. */
  readonly launchesPerLayer: number;
  /** Weights that a step reads, bytes per GPU. */
  readonly weightBytes: Float64Array;
  /** What was read from outside of the tables, in words; empty when nothing was. */
  readonly extrapolations: readonly string[];
  private readonly experts: MoeTimes | null;

  constructor(profile: DeviceProfile, shape: ModelShape, options: OperatorOptions) {
    const shard = shardModel(shape, options.tensorParallel);
    this.profile = profile;
    this.shape = shape;
    this.shard = shard;
    this.tokensMax = Math.min(options.tokensPerStepMax, TABLE_TOKENS_MAX);
    this.rowsMax = Math.min(options.sequencesMax, TABLE_TOKENS_MAX);
    const extrapolations: string[] = [];
    const linears = layerLinears(shape, shard);
    this.gemm = new Float64Array(this.tokensMax + 1);
    this.gemmFloor = new Float64Array(this.tokensMax + 1);
    for (const linear of linears) this.addLinear(linear, extrapolations);
    this.experts = this.expertTimes(extrapolations);
    const reduce = new CollectiveTimes(profile.allReduce, profile.nccl, shard.tensorParallel);
    if (!reduce.exact) extrapolations.push(`all-reduce over ${shard.tensorParallel} GPUs: not measured`);
    this.allReduces = shard.tensorParallel === 1 ? 0 : 2 * shape.layers + 1;
    this.allReduce = this.byTokens((tokens) => this.allReduces * reduce.timeNs(tokens * shape.hiddenSize));
    this.elementwise = this.byTokens((tokens) => shape.layers * this.elementwiseNs(tokens));
    this.logits = this.logitTimes(reduce, extrapolations);
    this.sampling = {
      plain: samplingByRows(profile.sampling.plain, shape.vocabSize, this.rowsMax),
      topP: samplingByRows(profile.sampling.topP, shape.vocabSize, this.rowsMax),
      topKTopP: samplingByRows(profile.sampling.topKTopP, shape.vocabSize, this.rowsMax),
      penalties: Float64Array.from({ length: this.rowsMax + 1 }, (_, rows) => this.penaltyNs(rows)),
    };
    const attention = {
      heads: shape.heads / shard.tensorParallel,
      kvHeads: shard.kvWidth / shape.headDim,
      headDim: shape.headDim,
      kvElementBytes: shape.kvElementBytes,
    };
    this.decode = new DecodeAttentionTimes(profile.generationAttention, attention, profile.peaks);
    this.prefill = new PrefillAttentionTimes(profile.contextAttention, attention, profile.peaks);
    if (!(this.decode.exact && this.prefill.exact)) {
      extrapolations.push(
        `attention of ${attention.heads} / ${attention.kvHeads} heads of ${attention.headDim}: read from the closest table`,
      );
    }
    this.kernelsPerLayer = smallKernels(shape);
    // Attention and the products.
    this.launchesPerLayer = this.kernelsPerLayer + linears.length + 1 + expertLaunches(shape);
    this.weightBytes = this.byTokens((tokens) => weightBytes(shape, shard, tokens));
    this.extrapolations = extrapolations;
  }

  /** Experts of all layers with `tokens` tokens, ns, `scale` times the table and at least what reading and multiplying take; 0 for dense models. */
  expertNs(tokens: number, scale: number, skew: number): number {
    const { experts, shape } = this;
    if (experts === null) return 0;
    return shape.layers * Math.max(experts.timeNs(tokens, skew) * scale, experts.floorNs(tokens, skew));
  }

  private byTokens(of: (tokens: number) => number): Float64Array {
    const times = new Float64Array(this.tokensMax + 1);
    for (let tokens = 1; tokens <= this.tokensMax; tokens++) times[tokens] = of(tokens);
    return times;
  }

  private addLinear({ what, n, k, format, beside }: Linear, extrapolations: string[]): void {
    const { profile, shape, tokensMax } = this;
    const times = new GemmTimes(profile.gemm[format], profile.peaks, format);
    if (times.extrapolates(n, k)) extrapolations.push(`${what}: ${n} x ${k} lies beyond the GEMM table`);
    const byRows = times.byRows(n, k, tokensMax, format === 'bf16' ? profile.coldGemm : null);
    for (let tokens = 1; tokens <= tokensMax; tokens++) {
      const floor = gemmFloorNs(profile.peaks, format, tokens, n, k);
      this.gemm[tokens]! += shape.layers * (beside && tokens <= BESIDE_TOKENS_MAX ? floor : byRows[tokens]!);
      this.gemmFloor[tokens]! += shape.layers * floor;
    }
  }

  private expertTimes(extrapolations: string[]): MoeTimes | null {
    const { profile, shape, shard } = this;
    if (shape.experts === null) return null;
    const times = new MoeTimes(
      profile.moe,
      {
        hiddenSize: shape.hiddenSize,
        experts: shape.experts,
        intermediateSize: shard.expertIntermediateSize,
        format: shape.weightFormat,
      },
      profile.peaks,
    );
    if (!times.exact) extrapolations.push('experts: read from the closest MoE table');
    return times;
  }

  private logitTimes(reduce: CollectiveTimes, extrapolations: string[]): Float64Array {
    const { profile, shape, shard } = this;
    const times = new GemmTimes(profile.gemm.bf16, profile.peaks, 'bf16');
    const { vocabSize } = shard;
    if (times.extrapolates(vocabSize, shape.hiddenSize)) {
      extrapolations.push(`LM head: ${vocabSize} x ${shape.hiddenSize} lies beyond the GEMM table`);
    }
    const logits = times.byRows(vocabSize, shape.hiddenSize, this.rowsMax, profile.coldGemm);
    if (shard.tensorParallel === 1) return logits;
    // Gathering the shares moves half of what an all-reduce of them moves.
    for (let rows = 1; rows <= this.rowsMax; rows++) {
      logits[rows]! += reduce.timeNs(rows * vocabSize * shard.tensorParallel) / 2;
    }
    return logits;
  }

  /** Traffic of a layer's element-wise kernels: two add-and-norms, rotary embedding and KV write, activation; 2 bytes an element. */
  private elementwiseNs(tokens: number): number {
    const { shape, shard } = this;
    const inner = shard.intermediateSize + (shape.experts?.perToken ?? 0) * shard.expertIntermediateSize;
    const norm = 2 * 4 * shape.hiddenSize;
    const rotary = 2 * (shard.queryWidth + 2 * shard.kvWidth);
    return (
      2 * this.trafficNs(tokens * norm) + this.trafficNs(tokens * 2 * rotary) + this.trafficNs(tokens * 2 * 3 * inner)
    );
  }

  /**
   * vLLM 0.15, `v1/sample/ops/penalties.py`: two counts of the vocabulary in 8 bytes, zeroed, read and made masks (17 bytes an entry each), the
   * repetition penalty in one kernel (10), frequency and presence in four (41).
   */
  private penaltyNs(rows: number): number {
    if (rows === 0) return 0;
    return PENALTY_KERNELS * this.profile.elementwise.floorNs + this.trafficNs(rows * this.shape.vocabSize * 85);
  }

  private trafficNs(bytes: number): number {
    const { elementwise } = this.profile;
    const rate = bytes <= elementwise.l2Bytes ? elementwise.l2BytesPerSecond : elementwise.bytesPerSecond;
    return (bytes * 1e9) / rate;
  }
}

/** Matrix products of one layer, per GPU. Routers are replicated and stay in 16 bit. */
function layerLinears(shape: ModelShape, shard: ModelShard): readonly Linear[] {
  const hidden = shape.hiddenSize;
  const linears: Linear[] = [
    { what: 'qkv', n: shard.queryWidth + 2 * shard.kvWidth, k: hidden, format: shape.attentionFormat },
    { what: 'attention output', n: hidden, k: shard.queryWidth, format: shape.attentionFormat },
  ];
  if (shape.experts !== null) linears.push({ what: 'router', n: shape.experts.count, k: hidden, format: 'bf16' });
  if (shard.intermediateSize > 0) {
    const beside = shape.experts !== null;
    linears.push(
      { what: 'gate and up', n: 2 * shard.intermediateSize, k: hidden, format: shape.weightFormat, beside },
      { what: 'down', n: hidden, k: shard.intermediateSize, format: shape.weightFormat, beside },
    );
  }
  return linears;
}

/**
 * Two add-and-norms, rotary embedding, KV write, activation; norms of queries and keys where the family has them (one kernel: the compiler fuses
 * both); choice of experts. vLLM 0.15, `model_executor/models`.
 */
function smallKernels(shape: ModelShape): number {
  const headNorms = shape.modelType.startsWith('qwen3') || shape.modelType === 'llama4' ? 1 : 0;
  return 5 + headNorms + (shape.experts === null ? 0 : 1);
}

/**
 * Launches of a mixture of experts beside those of `smallKernels` and of its products, counted in vLLM, `model_executor/layers/fused_moe`. 16 bit
 * (`fused_moe.py`): two that sort the rows, two grouped products, activation, sum. fp8 (`cutlass_moe.py`), about: the choice of experts by operators of
 * PyTorch (4 beside the one of `smallKernels`), weights on the input, quantisation, the way of rows and scales to their experts (5), the sizes of the
 * problems, two grouped products of two launches each, activation, quantisation, the way back; of the shared expert two quantisations and the activation.
 */
function expertLaunches(shape: ModelShape): number {
  if (shape.experts === null) return 0;
  return shape.weightFormat === 'fp8' ? 22 : 6;
}

function weightBytes(shape: ModelShape, shard: ModelShard, tokens: number): number {
  const attention = (2 * shard.queryWidth + 2 * shard.kvWidth) * formatBytes(shape.attentionFormat);
  const experts =
    shape.experts === null
      ? 0
      : shape.experts.count * expertCoverage(shape.experts, tokens) * shard.expertIntermediateSize;
  const inner = 3 * (shard.intermediateSize + experts) * formatBytes(shape.weightFormat);
  return shape.layers * shape.hiddenSize * (attention + inner);
}
