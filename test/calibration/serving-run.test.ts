import { describe, expect, it } from 'vitest';
import { type EngineHostProfile, UNIT_SCALE } from '../../src/backends/simulated/index.ts';
import type { MeasuredRun } from '../../src/calibration/serving-measurement.ts';
import {
  comparableStages,
  type PredictedStage,
  predictStages,
  ServingTarget,
} from '../../src/calibration/serving-run.ts';
import { bundledDeviceProfile } from '../../src/runtime/device-profile-file.ts';

const DEVICE = bundledDeviceProfile('H100-SXM-80GB')!;

const FREE: EngineHostProfile = {
  formatVersion: 1,
  engine: 'test',
  createdOn: '2026-11-24',
  sources: [],
  perStepNs: 0,
  perStepTensorParallelNs: 0,
  perCollectiveNs: 0,
  perLayerNs: 0,
  perKernelNs: 2000,
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

function run(rates: readonly number[], changes: Partial<MeasuredRun> = {}): MeasuredRun {
  const measured = { e2eMean: 1, e2eP99: 1, ttftMean: 1, ttftP90: 1, ttftP99: 1, tpotMean: 1 };
  return {
    name: 'test',
    model: 'meta-llama/Llama-3.1-8B-Instruct',
    hardware: 'H100',
    fp8: false,
    tensorParallel: 1,
    tokensPerStepMax: 2048,
    sequencesMax: 128,
    gpuMemoryUtilization: null,
    blocksTotal: null,
    workload: 'test',
    groups: 3,
    usersPerGroup: 5,
    systemPromptTokens: 100,
    questionTokens: 447,
    promptTokensMean: null,
    outputTokens: 50,
    stages: rates.map((ratePerSecond, stage) => ({ stage, ratePerSecond, durationSeconds: 20, measured })),
    ...changes,
  };
}

function predict(of: MeasuredRun, host: EngineHostProfile, share = 1): PredictedStage[] {
  return predictStages(new ServingTarget(of, DEVICE), host, { seed: 7, share });
}

describe('predictStages', () => {
  it('sends as many requests as rate and duration say, first-time prompts only until every user has had a turn', () => {
    const [first, second] = predict(run([4, 8]), FREE);
    expect(first).toMatchObject({ requests: 80, coldRequests: 15, saturated: false });
    expect(second).toMatchObject({ requests: 160, coldRequests: 0, saturated: false });
  });

  it('gives the same figures for the same seed', () => {
    expect(predict(run([4]), FREE)).toEqual(predict(run([4]), FREE));
  });

  it('shows what comes before the engine in both latencies, and what comes after in the end alone', () => {
    const [bare] = predict(run([1]), FREE);
    const [late] = predict(run([1]), { ...FREE, requestBeforeNs: 5e6, requestAfterNs: 7e6 });
    // An arrival that is shifted meets the steps in flight elsewhere: a step is the tolerance.
    expect(Math.abs(late!.latencies.ttftMean - bare!.latencies.ttftMean - 5)).toBeLessThan(1.5);
    expect(Math.abs(late!.latencies.e2eMean - bare!.latencies.e2eMean - 12)).toBeLessThan(3);
  });

  it('lets a mixture of experts compile for its first-time prompts, and a dense model never', () => {
    const stalling = { ...FREE, expertCompileNs: 900e6 };
    const mixture = run([2], { model: 'mistralai/Mixtral-8x7B-v0.1', tensorParallel: 2 });
    expect(predict(mixture, FREE)[0]!.latencies.ttftP99).toBeLessThan(400);
    expect(predict(mixture, stalling)[0]!.latencies.ttftP99).toBeGreaterThan(400);
    expect(predict(run([2]), stalling)).toEqual(predict(run([2]), FREE));
  });

  it('a shortened stage stands for the whole: means within 4 %, and first-time prompts weigh no more than they are', () => {
    const long = run([8, 8]);
    const stages = long.stages.map((stage) => ({ ...stage, durationSeconds: 300 }));
    const whole = predict({ ...long, stages }, FREE);
    const short = predict({ ...long, stages }, FREE, 0.1);
    whole.forEach((stage, i) => {
      for (const metric of ['e2eMean', 'ttftMean', 'tpotMean', 'ttftP90'] as const) {
        expect(Math.abs(short[i]!.latencies[metric] / stage.latencies[metric] - 1), metric).toBeLessThan(0.04);
      }
      expect(short[i]!.requests).toBeLessThan(0.2 * stage.requests);
    });
  });

  it('counts the requests of all replicates together, each with a load and a cold cache of its own', () => {
    const options = { seed: 7, share: 1 };
    const target = new ServingTarget(run([4]), DEVICE);
    const [one] = predictStages(target, FREE, options);
    const [three] = predictStages(target, FREE, { ...options, replicates: 3 });
    expect(three).toMatchObject({ requests: 240, coldRequests: 45, saturated: false });
    expect(three!.latencies.e2eMean).not.toBe(one!.latencies.e2eMean);
    expect(Math.abs(three!.latencies.e2eMean / one!.latencies.e2eMean - 1)).toBeLessThan(0.05);
  });

  it('runs a load near saturation as long as it was measured', () => {
    // A tenth of the sixty seconds would not fill what the queue may hold.
    const stages = [{ ...run([1]).stages[0]!, ratePerSecond: 45, durationSeconds: 60 }];
    const target = new ServingTarget({ ...run([1]), outputTokens: 400, stages }, DEVICE);
    const [stage] = comparableStages(target, FREE, 1);
    expect(stage!.regime.load).toBeGreaterThan(1);
    expect(stage).toMatchObject({ requests: 2700, saturated: true });
  });

  it('calls a load saturated whose queue grows', () => {
    const [stage] = predict(run([400], { outputTokens: 400 }), FREE);
    expect(stage!.saturated).toBe(true);
  });
});
