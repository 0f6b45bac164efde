import { type ExpertShape, feedForwardShape, MOE_MODEL_TYPES } from './expert-shape.ts';
import { ModelError } from './model-error.ts';

export { ModelError } from './model-error.ts';

export type WeightFormat = 'bf16' | 'fp8';

/**
 * What timing and memory need to know of a decoder-only transformer with grouped-query attention and gated MLPs, dense or a mixture of experts.
 * Counts are of the whole model; `shard.ts` divides them over GPUs.
 */
export interface ModelShape {
  readonly name: string;
  readonly modelType: string;
  readonly layers: number;
  readonly hiddenSize: number;
  /** Of the MLP that every token goes through: of a mixture of experts, the shared expert; 0 = none. */
  readonly intermediateSize: number;
  /** null: dense. */
  readonly experts: ExpertShape | null;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly positionsMax: number;
  readonly tiedEmbeddings: boolean;
  /** Format of the linear layers. Embedding, LM head and norms stay at 2 bytes, as in published fp8 checkpoints. */
  readonly weightFormat: WeightFormat;
  /** Published fp8 checkpoints of Llama 4 keep attention in 16 bit (RedHatAI's recipe ignores `self_attn`, Meta's quantises experts only). */
  readonly attentionFormat: WeightFormat;
  /** Of one K or V element: 2, or 1 with an fp8 cache. */
  readonly kvElementBytes: 1 | 2;
  /** Stated by the config and NOT modelled: attention is always over the whole context. null = none stated, or switched off. */
  readonly slidingWindow: number | null;

  readonly parameters: number;
  /** Of these, the ones in the matrix products of the layers. */
  readonly linearParameters: number;
  /** Of these, attention's. */
  readonly attentionParameters: number;
  /** Of these, the experts' (shared ones not counted). */
  readonly expertParameters: number;
  /** Of a vision tower that is loaded beside the language model, 2 bytes each; 0 = none. */
  readonly visionParameters: number;
  /** Biases, norms and routers, replicated or tiny: always 2 bytes. */
  readonly smallParameters: number;
  /** One of the two vocabulary matrices. */
  readonly embeddingParameters: number;
  /** Scales of fp8 checkpoints are left out: below 0.1 %. */
  readonly weightBytes: number;
  /** K and V of one token over all layers. */
  readonly kvBytesPerToken: number;
}

export interface ModelShapeOptions {
  /** Overrides the config's own weight format (vLLM `quantization`). */
  readonly weights?: WeightFormat;
  /** vLLM `kv_cache_dtype`; bf16 unless told. */
  readonly kvCache?: WeightFormat;
}

/** Dense families with the same operators: RMS norm, rotary GQA, gated MLP. */
const MODEL_TYPES = ['llama', 'mistral', 'qwen2', 'qwen3', 'phi3', 'granite', ...MOE_MODEL_TYPES];
/**
 * Llama 4's vision tower: 34 layers of width 1,408 with MLPs of 5,632, adapter and projector (Hugging Face transformers,
 * `Llama4VisionConfig`).
 */
const LLAMA4_VISION_PARAMETERS = 34 * (4 * 1408 ** 2 + 2 * 1408 * 5632) + 5632 * 4096 + 4096 ** 2 + 4096 * 5120;
const DTYPES = ['bfloat16', 'float16', 'float32'];

type Config = Readonly<Record<string, unknown>>;

/**
 * The shape stated by a Hugging Face `config.json` (already parsed). Throws ModelError, naming the field, for missing or
 * contradictory fields, for families that are not supported and for weight formats other than 16 bit and fp8.
 * Field meanings and defaults: Hugging Face transformers, `LlamaConfig`, `Qwen2Config`, `Qwen3Config`.
 */
export function modelShape(name: string, config: unknown, options: ModelShapeOptions = {}): ModelShape {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new ModelError(name, 'config', 'must be an object, the content of a Hugging Face config.json');
  }
  const c = config as Config;
  const modelType = modelTypeOf(name, c);
  const layers = whole(name, c, 'num_hidden_layers');
  const hiddenSize = whole(name, c, 'hidden_size');
  const { intermediateSize, experts } = feedForwardShape(name, modelType, c, (field) => whole(name, c, field));
  const { heads, kvHeads, headDim } = headCounts(name, c, hiddenSize);
  const vocabSize = whole(name, c, 'vocab_size');
  const tiedEmbeddings = flag(name, c, 'tie_word_embeddings', false);
  const weightFormat = options.weights ?? weightFormatOf(name, c);
  const kvElementBytes = options.kvCache === 'fp8' ? 1 : 2;

  const attentionFormat = modelType === 'llama4' ? 'bf16' : weightFormat;
  const counts = parameterCounts(name, c, {
    modelType,
    layers,
    hiddenSize,
    intermediateSize,
    experts,
    queryWidth: heads * headDim,
    kvWidth: kvHeads * headDim,
    headDim,
    vocabSize,
  });
  const { attentionParameters, linearParameters, smallParameters, embeddingParameters, visionParameters } = counts;
  const others = smallParameters + visionParameters + (tiedEmbeddings ? 1 : 2) * embeddingParameters;
  return {
    name,
    modelType,
    layers,
    hiddenSize,
    intermediateSize,
    experts,
    heads,
    kvHeads,
    headDim,
    vocabSize,
    positionsMax: whole(name, c, 'max_position_embeddings'),
    tiedEmbeddings,
    weightFormat,
    attentionFormat,
    kvElementBytes,
    slidingWindow: slidingWindowOf(name, c, modelType),
    ...counts,
    parameters: linearParameters + others,
    weightBytes:
      attentionParameters * formatBytes(attentionFormat) +
      (linearParameters - attentionParameters) * formatBytes(weightFormat) +
      2 * others,
    kvBytesPerToken: 2 * layers * kvHeads * headDim * kvElementBytes,
  };
}

function headCounts(name: string, c: Config, hiddenSize: number): Pick<ModelShape, 'heads' | 'kvHeads' | 'headDim'> {
  const heads = whole(name, c, 'num_attention_heads');
  const kvHeads = present(c, 'num_key_value_heads') ? whole(name, c, 'num_key_value_heads') : heads;
  if (heads % kvHeads !== 0) {
    throw new ModelError(name, 'num_key_value_heads', `${kvHeads} does not divide num_attention_heads (${heads})`);
  }
  if (!present(c, 'head_dim') && hiddenSize % heads !== 0) {
    throw new ModelError(
      name,
      'head_dim',
      `missing, and hidden_size (${hiddenSize}) / num_attention_heads (${heads}) is not whole`,
    );
  }
  const headDim = present(c, 'head_dim') ? whole(name, c, 'head_dim') : hiddenSize / heads;
  return { heads, kvHeads, headDim };
}

interface LayerSizes {
  readonly modelType: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly experts: ExpertShape | null;
  readonly queryWidth: number;
  readonly kvWidth: number;
  readonly headDim: number;
  readonly vocabSize: number;
}

type ParameterCounts = Pick<
  ModelShape,
  | 'linearParameters'
  | 'attentionParameters'
  | 'expertParameters'
  | 'visionParameters'
  | 'smallParameters'
  | 'embeddingParameters'
>;

function parameterCounts(name: string, c: Config, sizes: LayerSizes): ParameterCounts {
  const { modelType, layers, hiddenSize, intermediateSize, experts, queryWidth, kvWidth } = sizes;
  const attention = layers * hiddenSize * (2 * queryWidth + 2 * kvWidth);
  const expert = experts === null ? 0 : layers * experts.count * 3 * hiddenSize * experts.intermediateSize;
  const router = experts === null ? 0 : hiddenSize * experts.count;
  const small = 2 * hiddenSize + router + biases(name, c, modelType, queryWidth, kvWidth, sizes.headDim);
  return {
    linearParameters: attention + expert + layers * 3 * hiddenSize * intermediateSize,
    attentionParameters: attention,
    expertParameters: expert,
    visionParameters: modelType === 'llama4' ? LLAMA4_VISION_PARAMETERS : 0,
    smallParameters: layers * small + hiddenSize,
    embeddingParameters: sizes.vocabSize * hiddenSize,
  };
}

/** Bytes of one weight. */
export function formatBytes(format: WeightFormat): 1 | 2 {
  return format === 'fp8' ? 1 : 2;
}

function present(c: Config, field: string): boolean {
  return c[field] !== undefined && c[field] !== null;
}

function whole(name: string, c: Config, field: string): number {
  const value = c[field];
  if (value === undefined || value === null) throw new ModelError(name, field, 'missing; a whole number is needed');
  if (!(typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 2 ** 31)) {
    throw new ModelError(name, field, `${JSON.stringify(value)} is not allowed; a whole number of at least 1`);
  }
  return value;
}

function flag(name: string, c: Config, field: string, missing: boolean): boolean {
  const value = c[field];
  if (value === undefined || value === null) return missing;
  if (typeof value !== 'boolean') {
    throw new ModelError(name, field, `${JSON.stringify(value)} is not allowed; true or false`);
  }
  return value;
}

function modelTypeOf(name: string, c: Config): string {
  const value = c['model_type'];
  if (value === undefined || value === null) {
    throw new ModelError(name, 'model_type', `missing; one of ${MODEL_TYPES.join(', ')}`);
  }
  if (typeof value !== 'string' || !MODEL_TYPES.includes(value)) {
    throw new ModelError(
      name,
      'model_type',
      `${JSON.stringify(value)} is not supported; ${MODEL_TYPES.join(', ')} are`,
    );
  }
  return value;
}

/** Parameters of biases and query-key norms in one layer. */
function biases(
  name: string,
  c: Config,
  modelType: string,
  queryWidth: number,
  kvWidth: number,
  headDim: number,
): number {
  let parameters = 0;
  // Qwen2 always has biases on q, k and v and none on the output; others state `attention_bias` for all four.
  if (modelType === 'qwen2') parameters += queryWidth + 2 * kvWidth;
  else if (flag(name, c, 'attention_bias', false)) {
    parameters += queryWidth + 2 * kvWidth + whole(name, c, 'hidden_size');
  }
  if (flag(name, c, 'mlp_bias', false)) {
    parameters += 2 * whole(name, c, 'intermediate_size') + whole(name, c, 'hidden_size');
  }
  if (modelType === 'qwen3' || modelType === 'qwen3_moe') parameters += 2 * headDim;
  return parameters;
}

function slidingWindowOf(name: string, c: Config, modelType: string): number | null {
  if (!present(c, 'sliding_window')) return null;
  // Qwen2 and Qwen3 state a window and switch it off.
  if (!flag(name, c, 'use_sliding_window', !modelType.startsWith('qwen'))) return null;
  return whole(name, c, 'sliding_window');
}

function weightFormatOf(name: string, c: Config): WeightFormat {
  const dtype = c['torch_dtype'] ?? c['dtype'];
  if (dtype !== undefined && dtype !== null && !(typeof dtype === 'string' && DTYPES.includes(dtype))) {
    throw new ModelError(name, 'torch_dtype', `${JSON.stringify(dtype)} is not supported; ${DTYPES.join(', ')} are`);
  }
  const quantization = c['quantization_config'];
  // float32 checkpoints are served in 16 bit, as vLLM's `dtype=auto` does.
  if (quantization === undefined || quantization === null) return 'bf16';
  const method = (quantization as Config)['quant_method'];
  if (method === 'fp8' || method === 'fbgemm_fp8') return 'fp8';
  if (method === 'compressed-tensors' && isFloat8(quantization as Config)) return 'fp8';
  throw new ModelError(
    name,
    'quantization_config',
    `${JSON.stringify(method)} is not supported; fp8 and compressed-tensors with 8-bit float weights are`,
  );
}

/** compressed-tensors names its format by group: `config_groups.*.weights.{num_bits, type}`. */
function isFloat8(quantization: Config): boolean {
  const groups = quantization['config_groups'];
  if (typeof groups !== 'object' || groups === null) return false;
  const list = Object.values(groups as Config);
  return (
    list.length > 0 &&
    list.every((group) => {
      const weights = (group as Config | null)?.['weights'] as Config | null | undefined;
      return weights?.['num_bits'] === 8 && weights['type'] === 'float';
    })
  );
}
