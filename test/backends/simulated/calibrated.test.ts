import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CalibratedTimingModel,
  catalogueModel,
  DeviceOperators,
  type EngineHostProfile,
  MODEL_NAMES,
  modelShape,
  paddedTokens,
  type StepLoad,
  UNIT_SCALE,
} from '../../../src/backends/simulated/index.ts';
import { bundledDeviceProfile } from '../../../src/runtime/device-profile-file.ts';

const profile = bundledDeviceProfile('H100-SXM-80GB')!;

/** An engine that costs nothing but what a test sets. */
const FREE_HOST: EngineHostProfile = {
  formatVersion: 1,
  engine: 'free',
  createdOn: '2026-11-24',
  sources: [],
  perStepNs: 0,
  perStepTensorParallelNs: 0,
  perCollectiveNs: 0,
  perLayerNs: 0,
  perKernelNs: 0,
  perSequenceNs: 0,
  perOutputTokenNs: 0,
  samplingNsPerVocab: 0,
  piecewiseNsPerLayer: 0,
  eagerNsPerLayerKernel: 0,
  captureTokensMax: 512,
  captureTokensPerSequence: 2,
  requestBeforeNs: 0,
  requestAfterNs: 0,
  perPromptTokenNs: 0,
  firstTokenNsPerSequence: 0,
  slowFirstTokens: { share: 0, nsMax: 0 },
  expertCompileNs: 0,
  routeSkew: 0,
  scale: UNIT_SCALE,
  residuals: [],
};

const TP: Readonly<Record<string, number>> = { 'llama-2-70b': 4, 'llama-3.1-70b': 4, 'mixtral-8x22b': 4 };

function model(name: string, host: EngineHostProfile | null = null, change = {}): CalibratedTimingModel {
  const tensorParallel = TP[name] ?? (/mixtral|scout/.test(name) ? 2 : 1);
  const options = { tensorParallel, blockSize: 16, tokensPerStepMax: 2048, sequencesMax: 128, ...change };
  return new CalibratedTimingModel(profile, catalogueModel(name), host, options);
}

function decode(rows: number): StepLoad {
  return { ...prompt(0, 0), prefillRows: 0, decodeRows: rows, decodeTokens: rows, sampledRows: rows };
}

function prompt(tokens: number, context: number): StepLoad {
  return {
    decodeRows: 0,
    decodeTokens: 0,
    prefillRows: 1,
    prefillTokens: tokens,
    prefillContextTokens: context,
    prefillAttentionPairs: tokens * (context + (tokens + 1) / 2),
    sampledRows: 1,
  };
}

describe('kernels alone', () => {
  /** Weights that a step of so many tokens reads at least, over the bandwidth peak: no step is faster. */
  it.each(MODEL_NAMES.map((name) => [name]))('%s: every step takes at least the roofline of its work', (name) => {
    const timing = model(name);
    const { shape, shard } = timing.operators;
    for (const rows of [1, 3, 8, 33, 128]) {
      for (const context of [16, 700, 4000]) {
        const load = decode(rows);
        const ns = timing.stepNs(load, rows * context);
        expect(ns).toBeGreaterThan((timing.stepBytes(load, rows * context) * 1e9) / profile.peaks.hbmBytesPerSecond);
      }
    }
    const active =
      shape.linearParameters -
      shape.expertParameters * (1 - (shape.experts?.perToken ?? 0) / (shape.experts?.count ?? 1));
    const flops = (2 * 2048 * active) / shard.tensorParallel;
    const rate = shape.weightFormat === 'fp8' ? profile.peaks.fp8FlopsPerSecond : profile.peaks.bf16FlopsPerSecond;
    expect(timing.stepNs(prompt(2048, 0), 0)).toBeGreaterThan((flops * 1e9) / rate);
  });

  it('more work never takes much less: rows, context, prompt tokens, cached context', () => {
    const timing = model('llama-3.1-8b');
    const count = (max: number) => fc.integer({ min: 1, max });
    fc.assert(
      fc.property(count(100), count(27), count(4000), count(4000), (rows, more, context, extra) => {
        const base = timing.stepNs(decode(rows), rows * context);
        expect(timing.stepNs(decode(rows), rows * (context + extra))).toBeGreaterThanOrEqual(0.97 * base);
        // Tiles: measured times fall by a few percent at some sizes.
        expect(timing.stepNs(decode(rows + more), (rows + more) * context)).toBeGreaterThan(0.93 * base);
      }),
    );
    for (const tokens of [64, 256, 1000]) {
      expect(timing.stepNs(prompt(2 * tokens, 0), 0)).toBeGreaterThan(timing.stepNs(prompt(tokens, 0), 0));
      expect(timing.stepNs(prompt(tokens, 8000), 0)).toBeGreaterThan(timing.stepNs(prompt(tokens, 0), 0));
    }
  });

  it('Llama-3.1-8B decodes near what was measured: kernels below the 7.5 ms a token of vLLM at 15 sequences', () => {
    const ns = model('llama-3.1-8b').stepNs(decode(15), 15 * 700);
    expect(ns).toBeGreaterThan(6.4e6);
    expect(ns).toBeLessThan(7.5e6);
  });

  it('few tokens of a mixture cost the experts that they reach', () => {
    const { operators } = model('mixtral-8x7b');
    const share = (tokens: number, skew: number) =>
      operators.expertNs(tokens, 1, skew) / operators.expertNs(64, 1, skew);
    expect(share(1, 0)).toBeGreaterThan(0.25);
    expect(share(1, 0)).toBeLessThan(0.4);
    expect(share(4, 0)).toBeLessThan(0.75);
    // Uneven routes reach fewer; a single token reaches its two either way.
    expect(operators.expertNs(12, 1, 1)).toBeLessThan(0.95 * operators.expertNs(12, 1, 0));
    expect(operators.expertNs(1, 1, 1)).toBe(operators.expertNs(1, 1, 0));
  });

  it('says what lies outside of the tables', () => {
    expect(model('llama-2-70b').extrapolations).toEqual([]);
    expect(model('llama-3.1-8b').extrapolations).toEqual(['LM head: 128256 x 4096 lies beyond the GEMM table']);
    expect(model('qwen2.5-7b').extrapolations.join()).toMatch(/attention of 28 \/ 4 heads of 128/);
  });

  it('a model that nobody measured works from its config', () => {
    const shape = modelShape('new', {
      model_type: 'qwen3_moe',
      num_hidden_layers: 24,
      hidden_size: 1536,
      num_attention_heads: 24,
      num_key_value_heads: 4,
      head_dim: 96,
      vocab_size: 100_000,
      max_position_embeddings: 8192,
      moe_intermediate_size: 640,
      num_experts: 60,
      num_experts_per_tok: 4,
    });
    const options = { tensorParallel: 1, blockSize: 16, tokensPerStepMax: 2048, sequencesMax: 64 };
    const timing = new CalibratedTimingModel(profile, shape, null, options);
    expect(timing.stepNs(decode(16), 16 * 500)).toBeGreaterThan(0.5e6);
    expect(timing.stepNs(decode(16), 16 * 500)).toBeLessThan(10e6);
    expect(timing.extrapolations.join()).toMatch(/experts: read from the closest MoE table/);
  });

  it('an fp8 cache halves the time of a long context, not the launch', () => {
    const name = 'llama-3.1-8b';
    const shape = catalogueModel(name, { kvCache: 'fp8' });
    const options = { tensorParallel: 1, blockSize: 16, tokensPerStepMax: 2048, sequencesMax: 128 };
    const { decode: small } = new DeviceOperators(profile, shape, options);
    const { decode: large } = model(name).operators;
    expect(small.timeNs(64, 64 * 4000) / large.timeNs(64, 64 * 4000)).toBeCloseTo(0.5, 1);
    expect(small.timeNs(1, 16)).toBeGreaterThan(0.9 * large.timeNs(1, 16));
  });
});

describe('the engine around the kernels', () => {
  const name = 'llama-3.1-8b';
  const free = model(name, FREE_HOST);
  const load = decode(8);
  const cost = (host: Partial<EngineHostProfile>, of: StepLoad = load) =>
    model(name, { ...FREE_HOST, ...host }).stepNs(of, 8000) - free.stepNs(of, 8000);

  it('each coefficient is charged as often as it says', () => {
    expect(cost({ perStepNs: 1000 })).toBe(1000);
    expect(cost({ perStepTensorParallelNs: 1000 })).toBe(0);
    expect(cost({ perLayerNs: 1000 })).toBe(32_000);
    expect(cost({ perKernelNs: 1000 })).toBe(5 * 32_000);
    expect(cost({ perSequenceNs: 1000 })).toBe(8000);
    expect(cost({ perOutputTokenNs: 1000 })).toBe(8000);
    expect(cost({ piecewiseNsPerLayer: 1000 })).toBe(0);
    expect(cost({ piecewiseNsPerLayer: 1000 }, prompt(100, 0))).toBe(32_000);
    expect(cost({ piecewiseNsPerLayer: 1000 }, prompt(300, 0))).toBe(0);
    expect(cost({ eagerNsPerLayerKernel: 1000 }, prompt(256, 0))).toBe(0);
    expect(cost({ eagerNsPerLayerKernel: 1000 }, prompt(257, 0))).toBe(32 * 10 * 1000);
  });

  it('factors scale their kernels only', () => {
    const share = cost({ scale: { ...UNIT_SCALE, decodeAttention: 1.5 } });
    expect(share).toBeCloseTo(0.5 * 32 * free.operators.decode.timeNs(8, 8008), -2);
    expect(cost({ scale: { ...UNIT_SCALE, allReduce: 2, moe: 2, prefillAttention: 2 } })).toBe(0);
  });

  it('no factor makes kernels faster than the measured peaks', () => {
    const scale = {
      gemm: 0,
      moe: 0,
      moeFp8: 0,
      decodeAttention: 0,
      prefillAttention: 0,
      allReduce: 0,
      elementwise: 0,
      sampling: 0,
    };
    for (const each of [name, 'mixtral-8x7b']) {
      const timing = model(each, { ...FREE_HOST, scale });
      const bytes =
        timing.stepBytes(load, 800_000) - timing.operators.shard.vocabSize * timing.operators.shape.hiddenSize * 2;
      expect(timing.stepNs(load, 800_000)).toBeGreaterThan((bytes * 1e9) / profile.peaks.hbmBytesPerSecond);
    }
  });

  it('top-p and top-k sort the vocabulary', () => {
    const filtered = model(name, FREE_HOST, { sampling: 'topKTopP' });
    const more = filtered.stepNs(load, 8000) - free.stepNs(load, 8000);
    expect(more).toBeGreaterThan(300_000);
    expect(more).toBeLessThan(600_000);
  });

  it('a decode batch is padded to the next captured graph', () => {
    expect([1, 2, 3, 5, 8, 9, 250, 257, 300].map((tokens) => paddedTokens(tokens, 512))).toEqual([
      1, 2, 4, 8, 8, 16, 256, 272, 304,
    ]);
    expect(paddedTokens(257, 256)).toBe(257);
    expect(paddedTokens(19, 20)).toBe(20);
    const products = (rows: number) =>
      free.stepNs(decode(rows), 0) - 32 * free.operators.decode.timeNs(rows, rows) - free.operators.logits[rows]!;
    const sampled = (rows: number) => free.operators.sampling.plain[rows]!;
    expect(products(17) - sampled(17)).toBeCloseTo(products(24) - sampled(24), -1);
  });

  it('shared tables give the same times', () => {
    const shared = model(name, FREE_HOST, { operators: free.operators });
    expect(shared.stepNs(load, 12_345)).toBe(free.stepNs(load, 12_345));
  });

  it('swaps and copies cost their bytes', () => {
    expect(free.swapNs(0, 0)).toBe(0);
    expect(free.swapNs(10, 10)).toBe(2 * free.swapNs(10, 0));
    expect(free.copyNs(0)).toBe(0);
    expect(free.copyNs(1000)).toBeGreaterThan(100 * free.copyNs(1) * 0.5);
  });
});
