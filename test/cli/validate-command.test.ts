import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readHostProfile } from '../../src/runtime/host-profile-file.ts';
import type { ServingValidation } from '../../src/runtime/validate-serving.ts';
import { capturedCli } from './captured-cli.ts';

const STAGES =
  'exp_id,model,hardware,tp,precision,max_num_batched_tokens,max_num_seqs,gpu_memory_utilization,cpu_offload,workload,' +
  'num_system_prompts,users_per_system_prompt,system_prompt_len,question_len,output_len,stage,rate_rps,stage_duration_s,' +
  'ttft_mean_ms,ttft_p90_ms,ttft_p99_ms,itl_mean_ms,e2e_mean_ms,e2e_p90_ms,e2e_p99_ms';
/** Llama-3.1-8B as it was measured at 8 and 20 requests/s; stages of a minute. */
const SMALL = [
  '16,meta-llama/Llama-3.1-8B-Instruct,H100,1,FP16,2048,128,0.9,False,general,9,5,100,447,248,0,8,60,25.2,28.2,35.7,7.9,1892,1944,2138',
  '16,meta-llama/Llama-3.1-8B-Instruct,H100,1,FP16,2048,128,0.9,False,general,9,5,100,447,248,1,20,60,29.9,33.9,36.6,9.5,2278,2392,2442',
];
const ELSEWHERE = SMALL[0]!.replace('16,', '17,').replace('H100', 'MI300X');
const LOOPS =
  'id,backend,backend_version,model_path,system,precision,isl,osl,gemm_quant_mode,batch_size,tp_size,silicon_ttft_ms,silicon_tpot_ms,concurrency\n' +
  'a,vllm,0.12.0,meta-llama/Llama-3.1-8B-Instruct,h100_sxm,,512,64,,8.0,1.0,50,8,8\n';

let folder: string;
const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-validate-'));
});

describe('twinfer validate', () => {
  it('--json has a stage per row, a summary per metric, the worst stages and the closed loops', async () => {
    const stages = file('stages.csv', [STAGES, ...SMALL, ELSEWHERE].join('\n'));
    const { code, stdout } = await capturedCli(['validate', stages, file('loops.csv', LOOPS), '--json']);
    expect(code).toBe(0);
    const result = JSON.parse(stdout) as ServingValidation;
    expect(result.stages.map(({ status, cold }) => [status, cold])).toEqual([
      ['compared', true],
      ['compared', false],
      ['skipped', false],
    ]);
    expect(result.stages[2]!.reason).toMatch(/^MI300X: no device profile/);
    for (const metric of ['e2eMean', 'e2eP99', 'ttftMean', 'ttftP99', 'tpotMean'] as const) {
      expect(result.summary[metric].count, metric).toBe(2);
    }
    expect([result.summary.ttftP99Warm.count, result.summary.ttftP99Cold.count]).toEqual([1, 1]);
    // The bundled profile was fitted to runs like these; a minute scatters more than ten.
    expect(result.summary.e2eMean.medianAbsError).toBeLessThan(0.06);
    expect(result.summary.ttftMean.medianAbsError).toBeLessThan(0.12);
    expect(result.worst).toHaveLength(2);
    expect(result.closedLoopSummary).toMatchObject([{ backend: 'vllm', count: 1 }]);
  });

  it('prints tables, and what skips why', async () => {
    const { code, stdout } = await capturedCli(['validate', file('two.csv', [STAGES, ...SMALL, ELSEWHERE].join('\n'))]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/skipped: MI300X: no device profile/);
    expect(stdout).toMatch(/ttftP99Warm/);
    expect(stdout).toMatch(/the worst: model/);
    expect(stdout).not.toMatch(/closed loops: engine/);
  });

  it('refuses a file that cannot be read or used, with exit code 2', async () => {
    expect(await capturedCli(['validate', join(folder, 'nowhere.csv')])).toMatchObject({ code: 2 });
    const wrong = await capturedCli(['validate', file('wrong.csv', 'x,y\n1,2\n')]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/wrong\.csv: line 1: column exp_id or experiment is missing/);
  });
});

describe('twinfer calibrate-host', () => {
  it('writes a profile that validate takes, with the errors of what was left out', async () => {
    const stages = file('fit.csv', [STAGES, ...SMALL].join('\n'));
    const output = join(folder, 'host.json');
    const made = await capturedCli(['calibrate-host', stages, '--date', '2026-11-24', '--output', output]);
    expect(made.code).toBe(0);
    expect(made.stderr).toBe('');
    expect(made.stdout).toMatch(/perStepNs.* us/);
    const profile = readHostProfile(output);
    expect(profile.sources[0]).toMatch(/^fit\.csv sha256:[0-9a-f]{64}$/);
    expect(profile.residuals.map(({ cold }) => cold)).toEqual([true, false]);
    expect(profile.residuals[0]!.load).toBeGreaterThan(0.05);
    const validated = await capturedCli(['validate', stages, '--host', output, '--json']);
    const { summary } = JSON.parse(validated.stdout) as ServingValidation;
    expect(summary.tpotMean.medianAbsError).toBeLessThan(0.03);
  });

  it('refuses to write where it cannot, before it fits anything', async () => {
    const stages = file('again.csv', [STAGES, ...SMALL].join('\n'));
    const output = join(folder, 'no', 'folder.json');
    const { code, stderr } = await capturedCli(['calibrate-host', stages, '--date', '2026-11-24', '--output', output]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--output/);
    expect(stderr).not.toMatch(/configurations/);
  });
});
