import { formatBytes, ModelError, type ModelShape } from './model-shape.ts';

/** One GPU's share of a model under tensor parallelism. Sizes are per GPU. */
export interface ModelShard {
  readonly tensorParallel: number;
  readonly queryWidth: number;
  /** KV heads * head size; heads are repeated when there are more GPUs than KV heads. */
  readonly kvWidth: number;
  readonly intermediateSize: number;
  /** Of one expert; every GPU holds its columns of all experts. 0 = dense. */
  readonly expertIntermediateSize: number;
  readonly vocabSize: number;
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
}

/** vLLM pads the vocabulary to a multiple of this before it is divided (`DEFAULT_VOCAB_PADDING_SIZE`). */
const VOCAB_PADDING = 64;

/**
 * Divides a model over `tensorParallel` GPUs as Megatron-LM does (Shoeybi et al., arXiv:1909.08053): columns of qkv, gate and up,
 * rows of the output and down projections, vocabulary of embedding and LM head; norms are repeated.
 * Throws ModelError when heads or MLP do not divide.
 */
export function shardModel(shape: ModelShape, tensorParallel: number): ModelShard {
  const tp = tensorParallel;
  if (!(Number.isInteger(tp) && tp >= 1)) {
    throw new ModelError(shape.name, 'tensorParallel', `${tp} is not allowed; a whole number of at least 1`);
  }
  if (shape.heads % tp !== 0) {
    throw new ModelError(shape.name, 'tensorParallel', `${tp} does not divide num_attention_heads (${shape.heads})`);
  }
  if (shape.kvHeads % tp !== 0 && tp % shape.kvHeads !== 0) {
    throw new ModelError(shape.name, 'tensorParallel', `${tp} does not go with num_key_value_heads (${shape.kvHeads})`);
  }
  if (shape.intermediateSize % tp !== 0) {
    throw new ModelError(
      shape.name,
      'tensorParallel',
      `${tp} does not divide intermediate_size (${shape.intermediateSize})`,
    );
  }
  if (shape.experts !== null && shape.experts.intermediateSize % tp !== 0) {
    throw new ModelError(
      shape.name,
      'tensorParallel',
      `${tp} does not divide the experts' intermediate size (${shape.experts.intermediateSize})`,
    );
  }
  const queryWidth = (shape.heads / tp) * shape.headDim;
  const kvWidth = Math.max(1, shape.kvHeads / tp) * shape.headDim;
  const intermediateSize = shape.intermediateSize / tp;
  const vocabSize = Math.ceil((Math.ceil(shape.vocabSize / VOCAB_PADDING) * VOCAB_PADDING) / tp);
  const attention = shape.layers * shape.hiddenSize * (2 * queryWidth + 2 * kvWidth);
  const experts = shape.expertParameters / tp;
  const dense = shape.layers * shape.hiddenSize * 3 * intermediateSize;
  const embeddings = (shape.tiedEmbeddings ? 1 : 2) * vocabSize * shape.hiddenSize;
  return {
    tensorParallel: tp,
    queryWidth,
    kvWidth,
    intermediateSize,
    expertIntermediateSize: shape.experts === null ? 0 : shape.experts.intermediateSize / tp,
    vocabSize,
    weightBytes:
      attention * formatBytes(shape.attentionFormat) +
      (experts + dense) * formatBytes(shape.weightFormat) +
      2 * (embeddings + shape.smallParameters + shape.visionParameters / tp),
    kvBytesPerToken: 2 * shape.layers * kvWidth * shape.kvElementBytes,
  };
}
