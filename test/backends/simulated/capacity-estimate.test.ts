import { describe, expect, it } from 'vitest';
import { capacityEstimate, type StepLoad, type TimingModel } from '../../../src/backends/simulated/index.ts';

const LIMITS = { sequencesMax: 128, tokensPerStepMax: 2048, blocksTotal: 100_000, blockSize: 16 };

/** A step takes `fixed`, and so much per token. */
function timing(fixedNs: number, perTokenNs: number): TimingModel {
  return {
    stepNs: (load: StepLoad) => fixedNs + perTokenNs * (load.decodeTokens + load.prefillTokens),
    stepBytes: () => 0,
    swapNs: () => 0,
    copyNs: () => 0,
  };
}

describe('capacityEstimate', () => {
  it('is what the largest batch serves: all of it once per output', () => {
    const request = { promptTokens: 100, computedTokens: 0, outputTokens: 100 };
    const estimate = capacityEstimate(timing(10e6, 0), LIMITS, request)!;
    // 128 sequences a step of 10 ms, 100 steps each.
    expect(estimate).toMatchObject({ batch: 128, binding: 'sequences' });
    expect(estimate.requestsPerSecond).toBeCloseTo(128, 6);
  });

  it.each([
    ['kv-blocks', { blocksTotal: 1000 }, 62],
    ['token-budget', { tokensPerStepMax: 64 }, 12],
  ])('names %s when they run out first', (binding, limits, batch) => {
    const request = { promptTokens: 200, computedTokens: 200, outputTokens: 100 };
    if (binding === 'token-budget') Object.assign(request, { promptTokens: 400, computedTokens: 400 });
    const estimate = capacityEstimate(timing(10e6, 0), { ...LIMITS, ...limits }, request)!;
    expect(estimate).toMatchObject({ binding, batch });
  });

  it('names the device when a larger batch would serve no more', () => {
    const request = { promptTokens: 100, computedTokens: 100, outputTokens: 100 };
    expect(capacityEstimate(timing(1, 1e5), LIMITS, request)!.binding).toBe('device-time');
  });

  it('is none where nothing is generated', () => {
    expect(capacityEstimate(timing(1, 1), LIMITS, { promptTokens: 9, computedTokens: 9, outputTokens: 0 })).toBeNull();
  });
});
