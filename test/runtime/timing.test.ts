import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { predictStages, ServingTarget } from '../../src/calibration/serving-run.ts';
import { bundledDeviceProfile } from '../../src/runtime/device-profile-file.ts';
import { bundledHostProfile } from '../../src/runtime/host-profile-file.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { ran, scenario, scratch } from './scenarios.ts';

const folder = scratch();

function profileFile(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

const ONE = {
  workload: `{kind: generated, arrivals: {process: constant, requests_per_second: 1},
    content: {kind: independent, prompt_tokens: 500, output_tokens: 20}}`,
  engine: '{profile: vllm-v1}',
};

describe('the times of a simulated run', () => {
  it('are those that the validation finds for the same load', async () => {
    const stage = { stage: 0, ratePerSecond: 10, durationSeconds: 300, measured: {} as never };
    const target = new ServingTarget(
      {
        name: 'same',
        model: 'meta-llama/Llama-3.1-8B-Instruct',
        hardware: 'H100',
        fp8: false,
        tensorParallel: 1,
        tokensPerStepMax: 2048,
        sequencesMax: 128,
        gpuMemoryUtilization: null,
        blocksTotal: null,
        workload: 'same',
        groups: 11,
        usersPerGroup: 4,
        systemPromptTokens: 100,
        questionTokens: 466,
        promptTokensMean: 566,
        outputTokens: 247,
        stages: [stage],
      },
      bundledDeviceProfile('H100-SXM-80GB')!,
    );
    const options = { seed: 1, share: 1 };
    const [validated] = predictStages(target, bundledHostProfile(), options);
    const { summary } = await ran(
      scenario({
        engine: '{profile: vllm-v1, max_num_seqs: 128, max_num_batched_tokens: 2048}',
        workload: `{kind: generated, arrivals: {process: poisson, requests_per_second: 10},
          content: {kind: shared-prefix, groups: 11, users_per_group: 4, system_prompt_tokens: 100, question_tokens: 466, output_tokens: 247}}`,
        limits: '{duration: 300s}',
      }),
    );
    const { ttft, tpot, e2e } = summary.latencySeconds;
    // Other arrivals of the same rate: the means differ by what 3,000 draws scatter.
    expect((ttft.mean! * 1e3) / validated!.latencies.ttftMean).toBeCloseTo(1, 1.3);
    expect((tpot.mean! * 1e3) / validated!.latencies.tpotMean).toBeCloseTo(1, 1.3);
    expect((e2e.mean! * 1e3) / validated!.latencies.e2eMean).toBeCloseTo(1, 1.3);
  });

  it('are the clients: what lies before the engine counts, and so does the way back', async () => {
    const host = { ...bundledHostProfile(), requestBeforeNs: 0, requestAfterNs: 0, firstTokenNsPerSequence: 0 };
    const near = { ...ONE, timing: `{host: ${profileFile('near.json', { ...host, perPromptTokenNs: 0 })}}` };
    const farHost = { ...host, requestBeforeNs: 5e6, requestAfterNs: 7e6, firstTokenNsPerSequence: 2e6 };
    const far = { ...ONE, timing: `{host: ${profileFile('far.json', { ...farHost, perPromptTokenNs: 1e4 })}}` };
    const bare = (await ran(scenario(near))).summary.latencySeconds;
    const late = (await ran(scenario(far))).summary.latencySeconds;
    // One request at a time: 5 ms + 500 tokens of 10 us before the engine, 2 ms for the one sequence that runs, 7 ms at the end.
    expect(late.ttft.mean! - bare.ttft.mean!).toBeCloseTo(0.012, 9);
    expect(late.e2e.mean! - bare.e2e.mean!).toBeCloseTo(0.017, 9);
    expect((late.tpot.mean! - bare.tpot.mean!) * 19).toBeCloseTo(0.005, 9);
    expect(late.queue.mean).toBe(bare.queue.mean);
  });

  it('say where they come from, and which parts nobody measured', async () => {
    const measured = (await ran(scenario({ engine: '{profile: vllm-v1}' }))).summary.timing;
    expect(measured).toMatchObject({ model: 'calibrated', device: 'H100-SXM-80GB', host: 'vllm-0.15' });
    const large = { model: '{name: llama-3.1-8b}', limits: '{requests: 3}' };
    const { extrapolations } = (await ran(scenario(large))).summary.timing;
    expect(extrapolations).toEqual(['LM head: 128256 x 4096 lies beyond the GEMM table']);
    const inside = (
      await ran(
        scenario({ ...large, model: '{name: llama-3.1-8b}', device: '{name: h100-sxm, tensor_parallel_size: 2}' }),
      )
    ).summary;
    expect(inside.timing.extrapolations).toEqual([]);
    const content = '{kind: independent, prompt_tokens: 70000, output_tokens: 5}';
    const workload = `{kind: generated, arrivals: {process: constant, requests_per_second: 0.1}, content: ${content}}`;
    const long = (await ran(scenario({ ...large, workload, limits: '{requests: 1}' }))).summary.timing.extrapolations;
    expect(long).toContain('attention over 70005 tokens: the tables end at 65536');
  });

  it('need profiles that fit: of the device, and readable', async () => {
    const other = profileFile('a100.json', { ...bundledDeviceProfile('H100-SXM-80GB'), device: 'A100-SXM-80GB' });
    await expect(runSimulation(scenario({ timing: `{device_profile: ${other}}` }))).rejects.toThrow(
      /a100\.json: is of A100-SXM-80GB; the device of the scenario is H100-SXM-80GB/,
    );
    const broken = profileFile('host.json', { ...bundledHostProfile(), perStepNs: -1 });
    await expect(runSimulation(scenario({ timing: `{host: ${broken}}` }))).rejects.toThrow(
      /host\.json: perStepNs: -1 is not allowed/,
    );
  });
});
