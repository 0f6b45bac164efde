/**
 * Measured kernel times of one kind of GPU, as data. Made by `twinfer calibrate` from kernel tables, never written by hand. All times are
 * whole nanoseconds inside a CUDA graph; sizes are per GPU.
 */
export interface DeviceProfile {
  readonly formatVersion: 1;
  /** Name of the `DeviceSpec` that was measured. */
  readonly device: string;
  readonly createdOn: string;
  readonly sources: readonly ProfileSource[];
  /** The fastest that any measurement in the tables achieved; no prediction is faster than these allow. */
  readonly peaks: MeasuredPeaks;
  readonly gemm: { readonly bf16: GemmTable; readonly fp8: GemmTable };
  /** bf16 products whose weights were not in the cache, as layers follow each other: shapes measured one by one. */
  readonly coldGemm: ColdGemm;
  readonly contextAttention: readonly ContextAttentionTable[];
  readonly generationAttention: readonly GenerationAttentionTable[];
  readonly moe: readonly MoeTable[];
  readonly allReduce: readonly CollectiveTable[];
  readonly nccl: readonly CollectiveTable[];
  readonly elementwise: ElementwiseTime;
  /** Without filters, with top-p, with both top-k and top-p. */
  readonly sampling: Readonly<Record<SamplingKind, SamplingTable>>;
  readonly residuals: readonly ProfileResidual[];
}

export const SAMPLING_KINDS = ['plain', 'topP', 'topKTopP'] as const;
export type SamplingKind = (typeof SAMPLING_KINDS)[number];

export interface ProfileSource {
  readonly file: string;
  readonly framework: string;
  readonly version: string;
  readonly device: string;
  readonly rows: number;
  readonly sha256: string;
}

export interface MeasuredPeaks {
  readonly hbmBytesPerSecond: number;
  readonly bf16FlopsPerSecond: number;
  readonly fp8FlopsPerSecond: number;
}

/** y[m, n] = x[m, k] w[k, n]. `ns[((i * ks.length) + j) * ms.length + l]` is the time at (ns[i], ks[j], ms[l]). */
export interface GemmTable {
  readonly ms: readonly number[];
  readonly ns: readonly number[];
  readonly ks: readonly number[];
  readonly timesNs: readonly number[];
}

/** `factor`: what a shape that is in no list takes, as a multiple of the table (the median of the shapes that are in both). */
export interface ColdGemm {
  readonly factor: number;
  readonly shapes: readonly ColdGemmShape[];
}

export interface ColdGemmShape {
  readonly n: number;
  readonly k: number;
  readonly ms: readonly number[];
  readonly timesNs: readonly number[];
}

/** Causal attention of `batch` prompts of `tokens` each; `timesNs[i * tokens.length + j]` at (batches[i], tokens[j]); 0 = not measured. */
export interface ContextAttentionTable {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly batches: readonly number[];
  readonly tokens: readonly number[];
  readonly timesNs: readonly number[];
}

/** One new token of `batch` sequences of `context` each; layout as above. */
export interface GenerationAttentionTable {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly batches: readonly number[];
  readonly contexts: readonly number[];
  readonly timesNs: readonly number[];
}

/** One MoE block (gate and up, activation, down) of a GPU that holds `intermediateSize` columns of every expert, by tokens of the step. */
export interface MoeTable {
  readonly format: 'bf16' | 'fp8';
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly tokens: readonly number[];
  readonly timesNs: readonly number[];
}

/** All-reduce of 16-bit elements. */
export interface CollectiveTable {
  readonly gpus: number;
  readonly elements: readonly number[];
  readonly timesNs: readonly number[];
}

/**
 * An element-wise kernel takes floorNs + bytes / l2BytesPerSecond while what it touches fits the L2 cache (l2Bytes), and at least
 * bytes / bytesPerSecond beyond.
 */
export interface ElementwiseTime {
  readonly floorNs: number;
  readonly l2BytesPerSecond: number;
  readonly l2Bytes: number;
  readonly bytesPerSecond: number;
}

/**
 * From logits to token ids, of `rows` rows over a vocabulary; `timesNs[i * rows.length + j]` at (vocabs[i], rows[j]). Plain: temperature,
 * softmax, draw. Filtered: top-k and top-p besides, by sorting (vLLM `v1/sample/ops/topk_topp_sampler.py`, the PyTorch path).
 */
export interface SamplingTable {
  readonly vocabs: readonly number[];
  readonly rows: readonly number[];
  readonly timesNs: readonly number[];
}

/** How far predictions of points that were left out are from the measured ones, as ratios. */
export interface ProfileResidual {
  readonly table: string;
  /** What was left out at a time. */
  readonly leftOut: string;
  readonly points: number;
  readonly medianAbsError: number;
  readonly p90AbsError: number;
  readonly bias: number;
}
