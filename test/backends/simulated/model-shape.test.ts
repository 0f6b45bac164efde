import { describe, expect, it } from 'vitest';
import {
  catalogueModel,
  expertCoverage,
  MODEL_NAMES,
  ModelError,
  modelShape,
  shardModel,
} from '../../../src/backends/simulated/index.ts';

const LLAMA_8B = {
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
  max_position_embeddings: 131072,
  torch_dtype: 'bfloat16',
  tie_word_embeddings: false,
};

function without(field: keyof typeof LLAMA_8B): Record<string, unknown> {
  return Object.fromEntries(Object.entries(LLAMA_8B).filter(([name]) => name !== field));
}

function fieldOf(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(ModelError);
    expect((error as Error).message).not.toContain('\n');
    return (error as ModelError).field;
  }
  throw new Error('nothing was thrown');
}

describe('parameter counts are those of the published checkpoints', () => {
  it.each([
    ['llama-2-7b', 6_738_415_616],
    ['llama-2-70b', 68_976_648_192],
    ['llama-3.1-8b', 8_030_261_248],
    ['llama-3.1-70b', 70_553_706_496],
    ['codellama-34b', 33_743_970_304],
    ['yi-34b', 34_388_917_248],
    ['mistral-nemo-12b', 12_247_782_400],
    ['qwen2.5-7b', 7_615_616_512],
    ['qwen3-14b', 14_768_307_200],
    ['qwen3-32b', 32_762_123_264],
  ])('%s has %i', (name, parameters) => {
    expect(catalogueModel(name).parameters).toBe(parameters);
  });

  it('covers the whole catalogue', () => {
    expect(MODEL_NAMES).toHaveLength(14);
  });
});

describe('bytes', () => {
  it('a 16-bit model weighs two bytes a parameter, and 128 KiB of KV per token for Llama-3.1-8B', () => {
    const shape = modelShape('8b', LLAMA_8B);
    expect(shape.weightBytes).toBe(2 * shape.parameters);
    expect(shape.kvBytesPerToken).toBe(131_072);
  });

  it('fp8 halves the linear layers only, and an fp8 cache halves the KV', () => {
    const shape = modelShape('8b', LLAMA_8B, { weights: 'fp8', kvCache: 'fp8' });
    expect(shape.weightBytes).toBe(2 * shape.parameters - shape.linearParameters);
    expect(shape.kvBytesPerToken).toBe(65_536);
  });

  it('reads the format from quantization_config', () => {
    expect(modelShape('m', { ...LLAMA_8B, quantization_config: { quant_method: 'fp8' } }).weightFormat).toBe('fp8');
    const groups = { group_0: { weights: { num_bits: 8, type: 'float' } } };
    expect(
      modelShape('m', {
        ...LLAMA_8B,
        quantization_config: { quant_method: 'compressed-tensors', config_groups: groups },
      }).weightFormat,
    ).toBe('fp8');
  });

  it('ties the two vocabulary matrices when the config says so', () => {
    const tied = modelShape('m', { ...LLAMA_8B, tie_word_embeddings: true });
    expect(modelShape('m', LLAMA_8B).parameters - tied.parameters).toBe(128256 * 4096);
  });

  it('takes head_dim from the config before hidden_size / heads', () => {
    const nemo = catalogueModel('mistral-nemo-12b');
    expect(nemo.headDim).toBe(128);
    expect(nemo.hiddenSize / nemo.heads).toBe(160);
  });

  it('treats a missing num_key_value_heads as multi-head attention', () => {
    expect(modelShape('m', without('num_key_value_heads')).kvHeads).toBe(32);
  });

  it('notes a sliding window, unless it is switched off', () => {
    expect(modelShape('m', { ...LLAMA_8B, model_type: 'mistral', sliding_window: 4096 }).slidingWindow).toBe(4096);
    expect(modelShape('m', { ...LLAMA_8B, model_type: 'qwen2', sliding_window: 4096 }).slidingWindow).toBeNull();
  });
});

describe('errors name the field', () => {
  it.each([
    'hidden_size',
    'intermediate_size',
    'num_hidden_layers',
    'num_attention_heads',
    'vocab_size',
    'max_position_embeddings',
    'model_type',
  ] as const)('missing %s', (field) => {
    expect(fieldOf(() => modelShape('m', without(field)))).toBe(field);
  });

  it.each([
    [{ hidden_size: 4096.5 }, 'hidden_size'],
    [{ hidden_size: '4096' }, 'hidden_size'],
    [{ num_hidden_layers: 0 }, 'num_hidden_layers'],
    [{ num_key_value_heads: 5 }, 'num_key_value_heads'],
    [{ num_attention_heads: 33, num_key_value_heads: 33 }, 'head_dim'],
    [{ tie_word_embeddings: 'no' }, 'tie_word_embeddings'],
    [{ model_type: 'mamba' }, 'model_type'],
    [{ torch_dtype: 'int4' }, 'torch_dtype'],
    [{ quantization_config: { quant_method: 'awq' } }, 'quantization_config'],
    [{ quantization_config: { quant_method: 'compressed-tensors' } }, 'quantization_config'],
  ])('%j', (change, field) => {
    expect(fieldOf(() => modelShape('m', { ...LLAMA_8B, ...change }))).toBe(field);
  });

  it('a config that is no object', () => {
    expect(fieldOf(() => modelShape('m', [1]))).toBe('config');
  });

  it('a mixture of experts of a family that is not known is refused, with the ones that are', () => {
    const mixture = { ...LLAMA_8B, num_local_experts: 8, num_experts_per_tok: 2 };
    expect(() => modelShape('m', mixture)).toThrow(
      /num_local_experts.*MoE.*not supported; mixtral, qwen3_moe, llama4 are/,
    );
  });

  it('a mixture whose layers differ is refused', () => {
    const maverick = { ...LLAMA_8B, model_type: 'llama4', num_local_experts: 128, num_experts_per_tok: 1 };
    expect(fieldOf(() => modelShape('m', { ...maverick, interleave_moe_layer_step: 2 }))).toBe(
      'interleave_moe_layer_step',
    );
    expect(fieldOf(() => modelShape('m', { ...maverick, num_experts_per_tok: 129 }))).toBe('num_experts_per_tok');
  });
});

describe('mixtures of experts', () => {
  it.each([
    // Parameter counts as the model cards state them.
    ['mixtral-8x7b', 46.7e9, 8, 2, 0],
    ['mixtral-8x22b', 141e9, 8, 2, 0],
    ['qwen3-30b-a3b', 30.5e9, 128, 8, 0],
    ['llama-4-scout-fp8', 109e9, 16, 1, 8192],
  ])('%s has %d parameters', (name, parameters, count, perToken, shared) => {
    const shape = catalogueModel(name);
    expect(Math.abs(shape.parameters / parameters - 1)).toBeLessThan(0.005);
    expect(shape.experts).toMatchObject({ count, perToken });
    expect(shape.intermediateSize).toBe(shared);
  });

  it('Llama 4 in fp8 keeps attention in 16 bit', () => {
    const shape = catalogueModel('llama-4-scout-fp8');
    expect([shape.weightFormat, shape.attentionFormat]).toEqual(['fp8', 'bf16']);
    const others = shape.parameters - shape.linearParameters;
    expect(shape.weightBytes).toBe(shape.linearParameters + shape.attentionParameters + 2 * others);
  });

  it('tokens reach the experts that chance gives them', () => {
    const experts = { count: 8, perToken: 2, intermediateSize: 1 };
    expect(expertCoverage(experts, 0)).toBe(0);
    expect(expertCoverage(experts, 1)).toBe(0.25);
    expect(expertCoverage(experts, 2)).toBeCloseTo(1 - 0.75 ** 2, 12);
    expect(expertCoverage(experts, 37)).toBeCloseTo(1 - 0.75 ** 37, 12);
  });
});

describe('catalogue', () => {
  it.each([
    'meta-llama/Llama-3.1-8B-Instruct',
    'meta-llama/Meta-Llama-3.1-8B',
    'Llama-3.1-8B-Instruct',
    'LLAMA-3.1-8b',
    'someone/llama_3.1-8b',
  ])('finds %s', (alias) => {
    expect(catalogueModel(alias).name).toBe('llama-3.1-8b');
  });

  it('an unknown model lists the closest names', () => {
    expect(() => catalogueModel('llama-3.1-80b')).toThrow(/did you mean llama-3\.1-(8|70)b/);
    expect(() => catalogueModel('qwen3-15b')).toThrow(/did you mean qwen3-14b/);
  });
});

describe('shards', () => {
  it('the shards of a model hold all of it once, but for norms and padding', () => {
    const shape = catalogueModel('llama-3.1-70b');
    const shard = shardModel(shape, 4);
    expect(4 * shard.weightBytes).toBeGreaterThanOrEqual(shape.weightBytes);
    expect(4 * shard.weightBytes).toBeLessThan(shape.weightBytes * 1.001);
    expect(4 * shard.kvBytesPerToken).toBe(shape.kvBytesPerToken);
  });

  it('repeats KV heads when there are more GPUs than heads', () => {
    const shape = catalogueModel('qwen2.5-7b');
    expect(shape.kvHeads).toBe(4);
    expect(shardModel(modelShape('m', { ...LLAMA_8B, num_key_value_heads: 4 }), 8).kvWidth).toBe(128);
  });

  it.each([3, 0, 1.5])('refuses tensor parallelism of %d', (tp) => {
    expect(fieldOf(() => shardModel(catalogueModel('llama-3.1-8b'), tp))).toBe('tensorParallel');
  });
});
