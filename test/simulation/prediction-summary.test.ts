import { describe, expect, it } from 'vitest';
import type { HostResidual } from '../../src/backends/simulated/index.ts';
import { type RunContext, summarise } from '../../src/simulation/run-summary.ts';
import { sampleRun } from './report/sample-run.ts';

const { run } = sampleRun();
const MODEL = { tensorParallel: 1, family: 'dense', weightFormat: 'bf16', extrapolations: 0 } as const;

const timing = { stepNs: () => 10e6, stepBytes: () => 0, swapNs: () => 0, copyNs: () => 0 };
const LIMITS = { sequencesMax: 8, tokensPerStepMax: 64, blocksTotal: 100, blockSize: 16 };

/** Errors by which warm and cold stages are told apart: 1 % and 10 %. */
const RESIDUALS: readonly HostResidual[] = [true, false].flatMap((cold) =>
  Array.from({ length: 20 }, (_, i) => ({
    ...MODEL,
    model: `m${i}`,
    load: 0.3,
    cold,
    errors: { ttftMean: cold ? 0.1 : 0.01, throughput: 0.001 },
  })),
);

function predicted(changes: Partial<NonNullable<RunContext['server']>>, recorded = run) {
  return summarise(recorded, {
    scenario: 'sample',
    seed: 1,
    wallSeconds: 1,
    targets: [],
    gpuComputeUtilization: null,
    timing: { model: 'calibrated', device: 'H100-SXM-80GB', host: 'vllm-0.15', extrapolations: [] },
    server: { limits: LIMITS, timing, model: MODEL, basis: { engine: 'vllm-0.15', residuals: RESIDUALS }, ...changes },
  });
}

describe('the prediction of a run', () => {
  it('has an interval for each figure that was measured somewhere, and names whose measurements those are', () => {
    const { prediction } = predicted({});
    expect(prediction).toMatchObject({ reason: null, basis: 'vllm-0.15', regime: { ...MODEL, cold: true } });
    const { ttftMean, throughput, e2eMean } = prediction!.metrics!;
    expect(ttftMean!.value).toBeCloseTo(0.05, 9);
    expect(ttftMean!.high).toBeCloseTo(0.055, 9);
    expect(throughput!.low).toBeCloseTo(throughput!.value / 1.001, 9);
    expect(e2eMean).toMatchObject({ low: null, high: null });
    // Nobody measured medians here: the mean's errors stand in.
    const { ttftP50 } = prediction!.metrics!;
    expect(ttftP50!.high! / ttftP50!.value).toBeCloseTo(ttftMean!.high! / ttftMean!.value, 9);
  });

  it('is warm where the cache held all but a block of the prompts', () => {
    const tokens = { ...run.tokens, cachedPrompt: 1990, scheduledPrompt: 10 };
    const { prediction } = predicted({}, { ...run, tokens });
    expect(prediction!.regime!.cold).toBe(false);
    // A warm load still meets one cold error in ten of weight, so the width lies between.
    expect(prediction!.metrics!.ttftMean!.high! / 0.05).toBeLessThan(1.1 + 1e-9);
  });

  it('says why there are no intervals', () => {
    expect(predicted({ basis: null }).prediction!.reason).toMatch(
      /the roofline model was compared with no measurements/,
    );
    const few = { engine: 'vllm-0.15', residuals: RESIDUALS.slice(0, 5) };
    expect(predicted({ basis: few }).prediction!.reason).toMatch(/too few errors/);
  });

  it('gives no figure past saturation: neither of a growing queue nor of one that turns requests away', () => {
    const waiting = run.timeSeries.waiting.map((_, i) => 10 * i);
    const growing = predicted({}, { ...run, timeSeries: { ...run.timeSeries, waiting } });
    expect(growing.capacity!.saturated).toBe(true);
    expect(growing.prediction).toMatchObject({ metrics: null, reason: expect.stringMatching(/saturated/) });
    const full = predicted({}, { ...run, rejections: { 'queue-full': 2 } });
    expect(full.capacity!.saturated).toBe(true);
    expect(full.prediction!.metrics).toBeNull();
  });

  it('estimates nothing where drafts decide what a step gives', () => {
    const { capacity } = predicted({ timing: null });
    expect(capacity).toMatchObject({ load: null, sustainableRequestsPerSecond: null, binding: null });
  });
});
