import type { SamplingKind } from './device-profile.ts';
import { ModelError, type ModelShape, type ModelShapeOptions, modelShape } from './model-shape.ts';

interface CatalogueEntry {
  /** Hugging Face repositories with this shape, the first one is the source of the facts (its config.json). */
  readonly repositories: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
}

function llama(
  layers: number,
  hidden: number,
  intermediate: number,
  heads: number,
  kvHeads: number,
  vocab: number,
  positions: number,
): Readonly<Record<string, unknown>> {
  return {
    model_type: 'llama',
    num_hidden_layers: layers,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocab,
    max_position_embeddings: positions,
    torch_dtype: 'bfloat16',
    tie_word_embeddings: false,
  };
}

const MIXTRAL = { model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 };

/** Models known by name. Facts from the config.json of the first repository of each. */
const CATALOGUE: Readonly<Record<string, CatalogueEntry>> = {
  'llama-2-7b': {
    repositories: ['meta-llama/Llama-2-7b-hf', 'meta-llama/Llama-2-7b-chat-hf'],
    config: llama(32, 4096, 11008, 32, 32, 32000, 4096),
  },
  'llama-2-70b': {
    repositories: ['meta-llama/Llama-2-70b-hf', 'meta-llama/Llama-2-70b-chat-hf'],
    config: llama(80, 8192, 28672, 64, 8, 32000, 4096),
  },
  'llama-3.1-8b': {
    repositories: [
      'meta-llama/Llama-3.1-8B-Instruct',
      'meta-llama/Llama-3.1-8B',
      'meta-llama/Meta-Llama-3.1-8B-Instruct',
      'meta-llama/Meta-Llama-3.1-8B',
    ],
    config: llama(32, 4096, 14336, 32, 8, 128256, 131072),
  },
  'llama-3.1-70b': {
    repositories: [
      'meta-llama/Llama-3.1-70B-Instruct',
      'meta-llama/Llama-3.1-70B',
      'meta-llama/Meta-Llama-3.1-70B-Instruct',
      'meta-llama/Meta-Llama-3.1-70B',
      'meta-llama/Llama-3.3-70B-Instruct',
    ],
    config: llama(80, 8192, 28672, 64, 8, 128256, 131072),
  },
  'codellama-34b': {
    repositories: ['codellama/CodeLlama-34b-Instruct-hf', 'codellama/CodeLlama-34b-hf'],
    config: llama(48, 8192, 22016, 64, 8, 32000, 16384),
  },
  'yi-34b': {
    repositories: ['01-ai/Yi-34B', '01-ai/Yi-34B-Chat'],
    config: llama(60, 7168, 20480, 56, 8, 64000, 4096),
  },
  'mistral-nemo-12b': {
    repositories: ['mistralai/Mistral-Nemo-Instruct-2407', 'mistralai/Mistral-Nemo-Base-2407'],
    config: { ...llama(40, 5120, 14336, 32, 8, 131072, 131072), model_type: 'mistral', head_dim: 128 },
  },
  'qwen2.5-7b': {
    repositories: ['Qwen/Qwen2.5-7B-Instruct', 'Qwen/Qwen2.5-7B'],
    config: { ...llama(28, 3584, 18944, 28, 4, 152064, 32768), model_type: 'qwen2', sliding_window: 131072 },
  },
  'qwen3-14b': {
    repositories: ['Qwen/Qwen3-14B', 'Qwen/Qwen3-14B-Base'],
    config: { ...llama(40, 5120, 17408, 40, 8, 151936, 40960), model_type: 'qwen3', head_dim: 128 },
  },
  'qwen3-32b': {
    repositories: ['Qwen/Qwen3-32B'],
    config: { ...llama(64, 5120, 25600, 64, 8, 151936, 40960), model_type: 'qwen3', head_dim: 128 },
  },
  'qwen3-30b-a3b': {
    repositories: ['Qwen/Qwen3-30B-A3B', 'Qwen/Qwen3-30B-A3B-Instruct-2507'],
    config: {
      ...llama(48, 2048, 6144, 32, 4, 151936, 40960),
      model_type: 'qwen3_moe',
      head_dim: 128,
      moe_intermediate_size: 768,
      num_experts: 128,
      num_experts_per_tok: 8,
    },
  },
  'mixtral-8x7b': {
    repositories: ['mistralai/Mixtral-8x7B-v0.1', 'mistralai/Mixtral-8x7B-Instruct-v0.1'],
    config: { ...llama(32, 4096, 14336, 32, 8, 32000, 32768), ...MIXTRAL },
  },
  'mixtral-8x22b': {
    repositories: ['mistralai/Mixtral-8x22B-Instruct-v0.1', 'mistralai/Mixtral-8x22B-v0.1'],
    config: { ...llama(56, 6144, 16384, 48, 8, 32768, 65536), ...MIXTRAL },
  },
  'llama-4-scout-fp8': {
    repositories: ['RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic'],
    config: {
      ...llama(48, 5120, 8192, 40, 8, 202048, 10485760),
      model_type: 'llama4',
      head_dim: 128,
      num_local_experts: 16,
      num_experts_per_tok: 1,
      // The text model's part of the config; stated by this repository as compressed-tensors with 8-bit float weights.
      quantization_config: { quant_method: 'fp8' },
    },
  },
};

/** Names of the catalogue, in order. */
export const MODEL_NAMES: readonly string[] = Object.keys(CATALOGUE);

/**
 * The shape of a model known by its catalogue name or by a Hugging Face repository, with or without its owner; case does not
 * matter. Throws ModelError, which lists the closest names, when there is none.
 */
export function catalogueModel(name: string, options: ModelShapeOptions = {}): ModelShape {
  const key = catalogueKey(name);
  if (key !== null) return modelShape(key, CATALOGUE[key]!.config, options);
  const wanted = normal(name);
  const close = MODEL_NAMES.map((known) => ({ known, distance: editDistance(wanted, normal(known)) }))
    .sort((a, b) => a.distance - b.distance || (a.known < b.known ? -1 : 1))
    .slice(0, 3)
    .map((entry) => entry.known);
  throw new ModelError(
    JSON.stringify(name),
    'name',
    `unknown; did you mean ${close.join(', ')}? Known: ${MODEL_NAMES.join(', ')}`,
  );
}

/**
 * How vLLM samples when a request sets neither top-p nor top-k: it takes the defaults of the model's `generation_config.json`. Repositories of
 * meta-llama and the Llama 4 checkpoints state top-p, those of Qwen both, those of mistralai and codellama neither. `name` is that of a repository or
 * of the catalogue; models that nobody knows count as plain.
 */
export function defaultSampling(name: string): SamplingKind {
  const key = catalogueKey(name);
  const repository = key === null ? name : CATALOGUE[key]!.repositories[0]!;
  if (/^Qwen\//.test(repository)) return 'topKTopP';
  return /^meta-llama\/|Llama-4/.test(repository) ? 'topP' : 'plain';
}

/** Whether the `generation_config.json` of a model states a repetition penalty: those of Qwen2.5-Instruct do (1.05). */
export function samplesWithPenalties(name: string): boolean {
  const key = catalogueKey(name);
  return /Qwen2\.5-.*-Instruct/.test(key === null ? name : CATALOGUE[key]!.repositories[0]!);
}

function catalogueKey(name: string): string | null {
  const wanted = normal(name);
  for (const key of MODEL_NAMES) {
    if (normal(key) === wanted) return key;
    for (const repository of CATALOGUE[key]!.repositories) {
      if (repository.toLowerCase() === name.toLowerCase() || normal(repository) === wanted) return key;
    }
  }
  return null;
}

/** Lower case, without an owner (unknown owners re-upload under the same names) and with one kind of separator. */
function normal(name: string): string {
  return name.toLowerCase().replace(/^.*\//, '').replaceAll('_', '-').trim();
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + change));
    }
    previous = row;
  }
  return previous[b.length]!;
}
