import { describe, expect, it } from 'vitest';
import {
  catalogueModel,
  DeviceError,
  deviceSpec,
  H100_SXM,
  L40S,
  MemoryError,
  type MemoryOptions,
  planMemory,
} from '../../../src/backends/simulated/index.ts';

const OPTIONS: MemoryOptions = {
  tensorParallel: 1,
  blockSize: 16,
  tokensPerStepMax: 2048,
  sequencesMax: 128,
  gpuMemoryUtilization: 0.9,
  hostSwapBytes: 0,
  blocksOverride: null,
};

describe('KV blocks that vLLM 0.15.1 resolved on H100 SXM', () => {
  it.each([
    ['qwen2.5-7b', 1, 2048, 65_352],
    ['qwen2.5-7b', 1, 1024, 65_368],
    ['llama-2-7b', 1, 2048, 7_463],
    ['llama-3.1-70b', 4, 2048, 30_425],
    ['llama-3.1-70b', 4, 8192, 30_251],
    ['llama-4-scout-fp8', 2, 2048, 8_253],
  ])('%s, TP %i, %i tokens a step: %i within 0.2 %%', (name, tensorParallel, tokensPerStepMax, blocks) => {
    const plan = planMemory(catalogueModel(name), H100_SXM, { ...OPTIONS, tensorParallel, tokensPerStepMax });
    expect(Math.abs(plan.blocksTotal / blocks - 1)).toBeLessThan(0.002);
  });

  it.each([
    ['llama-3.1-8b', 29_205],
    ['qwen3-14b', 17_600],
    ['codellama-34b', 2_537],
  ])('%s: other versions (0.8 to 0.11) had %i, within 8 %%', (name, blocks) => {
    const plan = planMemory(catalogueModel(name), H100_SXM, OPTIONS);
    expect(Math.abs(plan.blocksTotal / blocks - 1)).toBeLessThan(0.08);
  });
});

describe('planMemory', () => {
  const model = catalogueModel('llama-3.1-8b');

  it('stays within the budget, with less than one block to spare', () => {
    const plan = planMemory(model, H100_SXM, OPTIONS);
    const used = plan.weightBytes + plan.activationBytes + plan.runtimeBytes + plan.kvBytes;
    expect(used).toBeLessThanOrEqual(plan.budgetBytes);
    expect(plan.budgetBytes - used).toBeLessThan(plan.blockBytes);
  });

  it('larger batches and steps leave fewer blocks', () => {
    const blocks = (change: Partial<MemoryOptions>) =>
      planMemory(model, H100_SXM, { ...OPTIONS, ...change }).blocksTotal;
    expect(blocks({ sequencesMax: 256 })).toBeLessThan(blocks({}));
    expect(blocks({ tokensPerStepMax: 16_384 })).toBeLessThan(blocks({}));
    expect(blocks({ gpuMemoryUtilization: 0.8 })).toBeLessThan(blocks({}));
    expect(blocks({ blockSize: 32 })).toBe(Math.floor(blocks({}) / 2));
  });

  it('counts host blocks from the swap space', () => {
    expect(planMemory(model, H100_SXM, OPTIONS).hostBlocksTotal).toBe(0);
    expect(planMemory(model, H100_SXM, { ...OPTIONS, hostSwapBytes: 4 * 2 ** 30 }).hostBlocksTotal).toBe(2048);
  });

  it('takes an override that fits on the device, and refuses one that does not', () => {
    expect(planMemory(model, H100_SXM, { ...OPTIONS, blocksOverride: 30_208 }).blocksTotal).toBe(30_208);
    expect(planMemory(model, H100_SXM, { ...OPTIONS, blocksOverride: 10 }).blocksTotal).toBe(10);
    expect(() => planMemory(model, H100_SXM, { ...OPTIONS, blocksOverride: 40_000 })).toThrow(/40000 KV blocks/);
  });

  it('names all sizes when a model does not fit', () => {
    const big = catalogueModel('llama-3.1-70b');
    expect(() => planMemory(big, H100_SXM, OPTIONS)).toThrow(MemoryError);
    expect(() => planMemory(big, H100_SXM, OPTIONS)).toThrow(
      /llama-3\.1-70b does not fit on 1 x H100-SXM-80GB: .*weights 131\.4\d GiB.*activations.*KV blocks.*exceed 71\.27 GiB/,
    );
    expect(() => planMemory(catalogueModel('qwen3-32b'), L40S, OPTIONS)).toThrow(MemoryError);
  });

  it.each([
    ['gpuMemoryUtilization', 0],
    ['gpuMemoryUtilization', 1.1],
    ['blockSize', 0],
    ['sequencesMax', 1.5],
    ['tokensPerStepMax', -1],
    ['hostSwapBytes', -1],
    ['hostSwapBytes', Number.NaN],
    ['blocksOverride', 0],
    ['tensorParallel', 16],
  ] as const)('refuses %s = %d and names it', (field, value) => {
    expect(() => planMemory(model, H100_SXM, { ...OPTIONS, [field]: value })).toThrow(new RegExp(`${field}: `));
  });
});

describe('deviceSpec', () => {
  it.each(['H100-SXM-80GB', 'h100-sxm', 'H100 SXM', 'h100_sxm'])('finds %s', (name) => {
    expect(deviceSpec(name)).toBe(H100_SXM);
  });

  it('an unknown device lists the known ones', () => {
    expect(() => deviceSpec('B300')).toThrow(DeviceError);
    expect(() => deviceSpec('B300')).toThrow(/H100-SXM-80GB, .*L40S-48GB/);
  });
});
