import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  A100_SXM,
  allReduceNs,
  catalogueModel,
  DEVICES,
  H100_SXM,
  MODEL_NAMES,
  modelShape,
  RooflineTimingModel,
  type StepLoad,
} from '../../../src/backends/simulated/index.ts';

function timing(model = 'llama-3.1-8b', tensorParallel = 1, device = H100_SXM): RooflineTimingModel {
  return new RooflineTimingModel(catalogueModel(model), device, 16, { tensorParallel, tokensPerStepMax: 8192 });
}

function decode(rows: number, drafts = 0): StepLoad {
  return {
    decodeRows: rows,
    decodeTokens: rows * (1 + drafts),
    prefillRows: 0,
    prefillTokens: 0,
    prefillContextTokens: 0,
    prefillAttentionPairs: 0,
    sampledRows: rows,
  };
}

/** One chunk of `tokens` after `context` tokens, beside `rows` decodes. */
function mixed(rows: number, tokens: number, context: number): StepLoad {
  return {
    decodeRows: rows,
    decodeTokens: rows,
    prefillRows: tokens > 0 ? 1 : 0,
    prefillTokens: tokens,
    prefillContextTokens: tokens > 0 ? context : 0,
    prefillAttentionPairs: tokens * (context + (tokens + 1) / 2),
    sampledRows: rows,
  };
}

/** Relative distance to a measured time. */
function off(modelled: number, measured: number): number {
  return Math.abs(modelled / measured - 1);
}

describe('anchors of the measured H100 kernel tables', () => {
  const model = timing();

  it.each([
    [1, 6144, 4096, 19.9],
    [128, 6144, 4096, 23.9],
    [1024, 6144, 4096, 65.3],
    [2048, 6144, 4096, 128.6],
    [8192, 6144, 4096, 535.7],
    [1, 4096, 4096, 15.0],
    [1, 14336, 4096, 41.8],
    [1, 128256, 4096, 366],
    [8192, 65536, 4096, 5790],
  ])('bf16 GEMM of %i tokens, %i x %i: %d us within 15 %%', (m, n, k, us) => {
    expect(off(model.gemmNs(m, n, k, 'bf16'), us * 1000)).toBeLessThan(0.15);
  });

  it.each([
    [1, 6144, 4096, 14.4],
    [2048, 6144, 4096, 103],
    [8192, 6144, 4096, 415],
  ])('fp8 GEMM of %i tokens, %i x %i: %d us within 10 %%', (m, n, k, us) => {
    expect(off(model.gemmNs(m, n, k, 'fp8'), us * 1000)).toBeLessThan(0.1);
  });

  it.each([
    [64, 2048, 186.7],
    [128, 1024, 190.5],
    [64, 8192, 688],
    [32, 4096, 185.9],
  ])('decode attention of %i x %i: %d us within 6 %%', (rows, context, us) => {
    const without = model.stepNs(decode(rows), 0) - 32 * H100_SXM.floors.decodeAttentionNs;
    const layer = (model.stepNs(decode(rows), rows * context) - without) / 32;
    expect(off(layer, us * 1000)).toBeLessThan(0.06);
  });

  it.each([
    [1024, 36],
    [4096, 264],
    [8192, 912],
    [16384, 3310],
  ])('prefill attention of %i tokens: %d us within 13 %%', (tokens, us) => {
    const load = mixed(0, tokens, 0);
    const bare = { ...load, prefillAttentionPairs: 0, prefillTokens: tokens };
    // Against the same step with its attention bound by reading one token's KV.
    const floors = 32 * H100_SXM.floors.prefillAttentionNs;
    const read = (tokens * 131_072) / (H100_SXM.hbmBytesPerSecond * H100_SXM.efficiency.decodeAttention);
    const attention = model.stepNs(load, 0) - (model.stepNs(bare, 0) - read * 1e9) + floors;
    expect(off(attention / 32, us * 1000)).toBeLessThan(0.13);
  });

  it.each([
    [2, 2 ** 20, 12.4],
    [4, 2 ** 26, 619],
    [8, 4096, 5.1],
  ])('all-reduce over %i GPUs of %i elements: %d us', (gpus, elements, us) => {
    expect(off(allReduceNs(H100_SXM, gpus, elements), us * 1000)).toBeLessThan(0.01);
  });

  it('Llama-3.1-8B, 8 sequences of 1,024 tokens: a decode step takes 7.4 to 7.9 ms', () => {
    const ms = model.stepNs(decode(8), 8 * 1024) / 1e6;
    expect(ms).toBeGreaterThanOrEqual(7.4);
    expect(ms).toBeLessThanOrEqual(7.9);
  });

  // Published vLLM 0.15.1 runs (inference-sim/training); sequences by Little's law, prefill in between not counted.
  it.each([
    ['llama-3.1-8b', 1, 15, 718, 7.56],
    ['llama-3.1-8b', 1, 44, 718, 8.9],
    ['qwen3-14b', 1, 7, 718, 12.06],
    ['qwen3-14b', 1, 26, 718, 13.24],
    ['llama-2-7b', 1, 17, 1810, 11.75],
    ['qwen2.5-7b', 1, 10, 913, 6.98],
    ['llama-3.1-70b', 4, 10, 698, 16.83],
    ['llama-3.1-70b', 4, 50, 718, 20.14],
  ])('%s TP %i, %i sequences of %i tokens: measured %d ms a token, within 6 %%', (name, tp, rows, context, ms) => {
    expect(off(timing(name, tp).stepNs(decode(rows), rows * context), ms * 1e6)).toBeLessThan(0.06);
  });

  it('a prefill of 2,048 tokens takes about 20 us a token (vLLM 0.11: 19.8 us beyond a fixed 6.5 ms), within 10 %', () => {
    expect(off(model.stepNs(mixed(0, 2048, 0), 0), 6.472e6 + 2048 * 19.8e3)).toBeLessThan(0.1);
  });
});

describe('monotonicity', () => {
  const models = MODEL_NAMES.flatMap((name) => DEVICES.map((device) => timing(name, 1, device)));
  const anyModel = fc.constantFrom(...models, timing('llama-3.1-70b', 8), timing('llama-2-70b', 4, A100_SXM));
  const rows = fc.integer({ min: 0, max: 1024 });
  const tokens = fc.integer({ min: 0, max: 20_000 });
  const context = fc.integer({ min: 0, max: 100_000 });

  it('more rows, tokens or context are never faster; no step takes no time', () => {
    fc.assert(
      fc.property(anyModel, rows, tokens, context, context, rows, tokens, context, (m, r, t, c, d, r2, t2, c2) => {
        const less = m.stepNs(mixed(r, t, c), d);
        expect(Number.isInteger(less)).toBe(true);
        expect(less).toBeGreaterThanOrEqual(1);
        expect(m.stepNs(mixed(r + r2, t, c), d)).toBeGreaterThanOrEqual(less);
        expect(m.stepNs(mixed(r, t + t2, c), d)).toBeGreaterThanOrEqual(less);
        expect(m.stepNs(mixed(r, t, c + c2), d)).toBeGreaterThanOrEqual(less);
        expect(m.stepNs(mixed(r, t, c), d + c2)).toBeGreaterThanOrEqual(less);
        expect(m.stepBytes(mixed(r, t + t2, c), d + c2)).toBeGreaterThanOrEqual(m.stepBytes(mixed(r, t, c), d));
      }),
      { numRuns: 300 },
    );
  });

  it('drafts cost the products and the logits of as many rows, but one read of the context and one row', () => {
    const model = timing();
    const rows = 256 * 3000;
    expect(model.stepNs(decode(64, 4), 64_000)).toBe(model.stepNs(decode(320), 64_000) - rows);
  });

  it('a short chunk after a long context is bound by reading the context', () => {
    const model = timing();
    const read = (100_000 * 131_072 * 1e9) / (H100_SXM.hbmBytesPerSecond * H100_SXM.efficiency.decodeAttention);
    expect(off(model.stepNs(mixed(0, 1, 100_000), 0) - model.stepNs(mixed(0, 1, 0), 0), read)).toBeLessThan(0.001);
  });

  it('more GPUs are never slower on a full step of a large model', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2048, max: 8192 }), fc.integer({ min: 0, max: 32_768 }), (t, c) => {
        const times = [1, 2, 4, 8].map((tp) => timingOf70b[tp]!.stepNs(mixed(0, t, c), 0));
        for (let i = 1; i < times.length; i++) expect(times[i]!).toBeLessThan(times[i - 1]!);
      }),
    );
  });
  const timingOf70b: Record<number, RooflineTimingModel> = {};
  for (const tp of [1, 2, 4, 8]) timingOf70b[tp] = timing('llama-3.1-70b', tp);

  it('the table of small steps and the formula of large ones agree', () => {
    const shape = catalogueModel('llama-3.1-8b');
    const small = new RooflineTimingModel(shape, H100_SXM, 16, { tensorParallel: 1, tokensPerStepMax: 1 });
    expect(small.stepNs(mixed(5, 700, 33), 999)).toBe(timing().stepNs(mixed(5, 700, 33), 999));
  });

  it('fp8 weights are faster where weights are read or multiplied, and not slower without fp8 units', () => {
    const shape = (weights: 'bf16' | 'fp8') => catalogueModel('llama-3.1-70b', { weights });
    const make = (weights: 'bf16' | 'fp8', device = H100_SXM) =>
      new RooflineTimingModel(shape(weights), device, 16, { tensorParallel: 4, tokensPerStepMax: 8192 });
    for (const load of [decode(16), mixed(0, 8192, 0)]) {
      expect(make('fp8').stepNs(load, 0)).toBeLessThan(make('bf16').stepNs(load, 0));
    }
    expect(make('fp8', A100_SXM).stepNs(decode(16), 0)).toBeLessThan(make('bf16', A100_SXM).stepNs(decode(16), 0));
    expect(make('fp8', A100_SXM).stepNs(mixed(0, 8192, 0), 0)).toBe(
      make('bf16', A100_SXM).stepNs(mixed(0, 8192, 0), 0),
    );
  });
});

describe('swaps and copies', () => {
  it('cost nothing when there are none, and the bytes over PCIe otherwise', () => {
    const model = timing();
    expect(model.swapNs(0, 0)).toBe(0);
    expect(model.copyNs(0)).toBe(0);
    const expected = 10_000 + (100 * 2 ** 21 * 1e9) / (64e9 * 0.85);
    expect(model.swapNs(100, 0)).toBe(Math.round(expected));
    expect(model.swapNs(100, 100)).toBe(Math.round(2 * expected));
    expect(model.copyNs(100)).toBeLessThan(model.swapNs(100, 0));
  });

  it('an fp8 cache halves the transfer', () => {
    const shape = modelShape('m', {
      model_type: 'llama',
      hidden_size: 64,
      intermediate_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      vocab_size: 100,
      max_position_embeddings: 10,
    });
    const halved = { ...shape, kvElementBytes: 1 as const };
    const make = (s: typeof shape) =>
      new RooflineTimingModel(s, H100_SXM, 16, { tensorParallel: 1, tokensPerStepMax: 8 });
    expect(make(halved).swapNs(10_000, 0) - 10_000).toBe(Math.round((make(shape).swapNs(10_000, 0) - 10_000) / 2));
  });
});
