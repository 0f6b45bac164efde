/** A model description that cannot be simulated. The message names the model, the field and what is wrong with it. */
export class ModelError extends Error {
  readonly field: string;

  constructor(model: string, field: string, problem: string) {
    super(`model ${model}: ${field}: ${problem}`);
    this.name = 'ModelError';
    this.field = field;
  }
}

export type WeightFormat = 'bf16' | 'fp8';

/**
 * What timing and memory need to know of a dense decoder-only transformer with grouped-query attention and a gated MLP.
 * Counts are of the whole model; `shard.ts` divides them over GPUs.
 */
export interface ModelShape {
  readonly name: string;
  readonly modelType: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly positionsMax: number;
  readonly tiedEmbeddings: boolean;
  /** Format of the linear layers. Embedding, LM head and norms stay at 2 bytes, as in published fp8 checkpoints. */
  readonly weightFormat: WeightFormat;
  /** Of one K or V element: 2, or 1 with an fp8 cache. */
  readonly kvElementBytes: 1 | 2;
  /** Stated by the config and NOT modelled: attention is always over the whole context. null = none stated, or switched off. */
  readonly slidingWindow: number | null;

  readonly parameters: number;
  /** Of these, the ones in the matrix products of the layers. */
  readonly linearParameters: number;
  /** Biases and norms, replicated or tiny: always 2 bytes. */
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
const MODEL_TYPES = ['llama', 'mistral', 'qwen2', 'qwen3', 'phi3', 'granite'];
const MOE_FIELDS = [
  'num_local_experts',
  'num_experts',
  'n_routed_experts',
  'moe_intermediate_size',
  'num_experts_per_tok',
];
const DTYPES = ['bfloat16', 'float16', 'float32'];

type Config = Readonly<Record<string, unknown>>;

/**
 * The shape stated by a Hugging Face `config.json` (already parsed). Throws ModelError, naming the field, for missing or
 * contradictory fields, for mixture-of-experts models and for weight formats other than 16 bit and fp8.
 * Field meanings and defaults: Hugging Face transformers, `LlamaConfig`, `Qwen2Config`, `Qwen3Config`.
 */
export function modelShape(name: string, config: unknown, options: ModelShapeOptions = {}): ModelShape {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new ModelError(name, 'config', 'must be an object, the content of a Hugging Face config.json');
  }
  const c = config as Config;
  refuseExperts(name, c);
  const modelType = modelTypeOf(name, c);
  const layers = whole(name, c, 'num_hidden_layers');
  const hiddenSize = whole(name, c, 'hidden_size');
  const intermediateSize = whole(name, c, 'intermediate_size');
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
  const vocabSize = whole(name, c, 'vocab_size');
  const tiedEmbeddings = flag(name, c, 'tie_word_embeddings', false);
  const weightFormat = options.weights ?? weightFormatOf(name, c);
  const kvElementBytes = options.kvCache === 'fp8' ? 1 : 2;

  const queryWidth = heads * headDim;
  const kvWidth = kvHeads * headDim;
  const linear = layers * (hiddenSize * (2 * queryWidth + 2 * kvWidth) + 3 * hiddenSize * intermediateSize);
  const small = layers * (2 * hiddenSize + biases(name, c, modelType, queryWidth, kvWidth, headDim)) + hiddenSize;
  const embedding = vocabSize * hiddenSize;
  const embeddings = tiedEmbeddings ? embedding : 2 * embedding;
  return {
    name,
    modelType,
    layers,
    hiddenSize,
    intermediateSize,
    heads,
    kvHeads,
    headDim,
    vocabSize,
    positionsMax: whole(name, c, 'max_position_embeddings'),
    tiedEmbeddings,
    weightFormat,
    kvElementBytes,
    slidingWindow: slidingWindowOf(name, c, modelType),
    parameters: linear + small + embeddings,
    linearParameters: linear,
    smallParameters: small,
    embeddingParameters: embedding,
    weightBytes: linear * (weightFormat === 'fp8' ? 1 : 2) + 2 * (small + embeddings),
    kvBytesPerToken: 2 * layers * kvWidth * kvElementBytes,
  };
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

function refuseExperts(name: string, c: Config): void {
  for (const field of MOE_FIELDS) {
    const value = c[field];
    if (value === undefined || value === null || value === 0) continue;
    throw new ModelError(
      name,
      field,
      `${JSON.stringify(value)}: mixture-of-experts (MoE) models are not supported yet; use a dense model`,
    );
  }
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
  if (modelType === 'qwen3') parameters += 2 * headDim;
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
