import { describe, expect, it } from 'vitest';
import { HostFit } from '../../src/calibration/fit-host.ts';
import { HOST_COEFFICIENTS, hostProfile } from '../../src/calibration/host-coefficients.ts';
import type { MeasuredRun } from '../../src/calibration/serving-measurement.ts';
import { predictStages, ServingTarget } from '../../src/calibration/serving-run.ts';
import { bundledDeviceProfile } from '../../src/runtime/device-profile-file.ts';

const ABOUT = { engine: 'made', createdOn: '2026-11-24', sources: [] };
const DEVICE = bundledDeviceProfile('H100-SXM-80GB')!;

/** A host that differs from the centres of the priors in what decides most. */
const TRUTH = hostProfile(
  HOST_COEFFICIENTS.map(({ name, centre }) => {
    const factor = { perStepNs: 3, requestBeforeNs: 2, 'scale.gemm': 1.05 }[name] ?? 1;
    return Math.log(centre * factor);
  }),
  ABOUT,
);

function run(model: string, ratePerSecond: number): MeasuredRun {
  const measured = { e2eMean: 1, e2eP99: 1, ttftMean: 1, ttftP90: 1, ttftP99: 1, tpotMean: 1 };
  return {
    name: 'made',
    model,
    hardware: 'H100',
    fp8: false,
    tensorParallel: 1,
    tokensPerStepMax: 2048,
    sequencesMax: 128,
    gpuMemoryUtilization: null,
    blocksTotal: null,
    workload: 'made',
    groups: 3,
    usersPerGroup: 3,
    systemPromptTokens: 100,
    questionTokens: 300,
    promptTokensMean: null,
    outputTokens: 60,
    stages: [{ stage: 0, ratePerSecond, durationSeconds: 60, measured }],
  };
}

/** The run with what the engine says on a host, as if it had been measured. */
function measuredOn(host: typeof TRUTH, of: MeasuredRun): ServingTarget {
  const stages = predictStages(new ServingTarget(of, DEVICE), host, { seed: 1, share: 1 });
  const measured = of.stages.map((stage, i) => ({ ...stage, measured: stages[i]!.latencies }));
  return new ServingTarget({ ...of, stages: measured }, DEVICE);
}

const SMALL = measuredOn(TRUTH, run('meta-llama/Llama-3.1-8B-Instruct', 10));
const LARGE = measuredOn(TRUTH, run('Qwen/Qwen3-14B', 6));

describe('HostFit', () => {
  it('predicts a model that it has not seen from runs of another on the same host', () => {
    const fit = new HostFit([SMALL, LARGE], ABOUT);
    const host = fit.solve('Qwen/Qwen3-14B');
    const [predicted] = predictStages(LARGE, host, { seed: 1, share: 1 });
    const [centre] = predictStages(
      LARGE,
      hostProfile(
        HOST_COEFFICIENTS.map((each) => Math.log(each.centre)),
        ABOUT,
      ),
      { seed: 1, share: 1 },
    );
    const { measured } = LARGE.run.stages[0]!;
    for (const metric of ['e2eMean', 'ttftMean', 'tpotMean'] as const) {
      expect(Math.abs(predicted!.latencies[metric] / measured[metric] - 1), metric).toBeLessThan(0.03);
    }
    expect(Math.abs(centre!.latencies.tpotMean / measured.tpotMean - 1)).toBeGreaterThan(0.06);
  });

  it('leaves a model out as if it had never been given', () => {
    const wrong = measuredOn({ ...TRUTH, perStepNs: 4e6 }, run('Qwen/Qwen3-14B', 6));
    expect(new HostFit([SMALL, wrong], ABOUT).solve('Qwen/Qwen3-14B')).toEqual(new HostFit([SMALL], ABOUT).solve());
  });

  it('is the same for the same measurements, and within the physical bounds', () => {
    const host = new HostFit([SMALL], ABOUT).solve();
    expect(host).toEqual(new HostFit([SMALL], ABOUT).solve());
    expect(host.scale.gemm).toBeGreaterThanOrEqual(0.9);
    expect(host.perKernelNs).toBeGreaterThanOrEqual(500);
  });
});
