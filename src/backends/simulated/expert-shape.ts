import { ModelError } from './model-error.ts';

/** The feed-forward part of a mixture-of-experts layer: every token goes through `perToken` of `count` gated MLPs. */
export interface ExpertShape {
  readonly count: number;
  readonly perToken: number;
  /** Of one expert. */
  readonly intermediateSize: number;
}

export interface FeedForwardShape {
  /** Of the MLP that every token goes through: the only one of a dense model, the shared expert of others; 0 = none. */
  readonly intermediateSize: number;
  readonly experts: ExpertShape | null;
}

type Config = Readonly<Record<string, unknown>>;

/** Families whose every layer is a mixture of experts. Field names: Hugging Face transformers, the `*Config` class of each. */
const FAMILIES: Readonly<Record<string, { count: string; inner: string; sharesInner: boolean }>> = {
  mixtral: { count: 'num_local_experts', inner: 'intermediate_size', sharesInner: false },
  qwen3_moe: { count: 'num_experts', inner: 'moe_intermediate_size', sharesInner: false },
  // One shared expert of the same size. Scout has no dense layer (interleave_moe_layer_step 1).
  llama4: { count: 'num_local_experts', inner: 'intermediate_size', sharesInner: true },
};

export const MOE_MODEL_TYPES: readonly string[] = Object.keys(FAMILIES);

const MOE_FIELDS = [
  'num_local_experts',
  'num_experts',
  'n_routed_experts',
  'moe_intermediate_size',
  'num_experts_per_tok',
];

/**
 * The feed-forward part that a config states. Throws ModelError, naming the field, for mixtures whose family is not known or whose
 * layers differ (dense layers between, `interleave_moe_layer_step` above 1).
 */
export function feedForwardShape(
  name: string,
  modelType: string,
  config: Config,
  whole: (field: string) => number,
): FeedForwardShape {
  const family = FAMILIES[modelType];
  if (family === undefined) {
    for (const field of MOE_FIELDS) {
      const value = config[field];
      if (value === undefined || value === null || value === 0) continue;
      throw new ModelError(
        name,
        field,
        `${JSON.stringify(value)}: a mixture of experts (MoE) of model_type ${modelType} is not supported; ${MOE_MODEL_TYPES.join(', ')} are`,
      );
    }
    return { intermediateSize: whole('intermediate_size'), experts: null };
  }
  for (const [field, wanted] of [
    ['interleave_moe_layer_step', 1],
    ['decoder_sparse_step', 1],
  ] as const) {
    const value = config[field];
    if (value !== undefined && value !== null && value !== wanted) {
      throw new ModelError(name, field, `${JSON.stringify(value)} is not supported; ${wanted} is (all layers alike)`);
    }
  }
  const experts = {
    count: whole(family.count),
    perToken: whole('num_experts_per_tok'),
    intermediateSize: whole(family.inner),
  };
  if (experts.perToken > experts.count) {
    throw new ModelError(
      name,
      'num_experts_per_tok',
      `${experts.perToken} is more than ${family.count} (${experts.count})`,
    );
  }
  return { intermediateSize: family.sharesInner ? experts.intermediateSize : 0, experts };
}

/**
 * Share of the experts that at least one of `tokens` tokens goes to. `skew` 0: routes are drawn evenly, 1 - (1 - perToken / count)^tokens. 1: the
 * popularity of experts in a batch is spread like a gamma variable of shape 2, 1 - (1 + x / 2)^-2 with x = tokens perToken / count. Between: in
 * proportion.
 */
export function expertCoverage(experts: ExpertShape, tokens: number, skew = 0): number {
  const missed = 1 - experts.perToken / experts.count;
  let power = 1;
  let base = missed;
  // Squaring: Math.pow may differ between engine versions.
  for (let left = Math.ceil(tokens); left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) power *= base;
    base *= base;
  }
  const even = 1 - power;
  if (skew === 0) return even;
  const spread = 1 + (tokens * experts.perToken) / (2 * experts.count);
  // A token reaches perToken experts however popular they are.
  const reached = Math.min(
    even,
    Math.max(experts.perToken / experts.count, even + skew * (1 - 1 / (spread * spread) - even)),
  );
  return tokens === 0 ? 0 : reached;
}
