import { describe, expect, it } from 'vitest';
import { measuredRuns } from '../../src/calibration/serving-measurement.ts';

const OPEN_LOOP =
  'exp_id,model,hardware,tp,precision,max_num_batched_tokens,max_num_seqs,gpu_memory_utilization,cpu_offload,workload,' +
  'num_system_prompts,users_per_system_prompt,system_prompt_len,question_len,output_len,stage,rate_rps,stage_duration_s,' +
  'ttft_mean_ms,ttft_p90_ms,ttft_p99_ms,itl_mean_ms,e2e_mean_ms,e2e_p90_ms,e2e_p99_ms';

function row(stage: number, ttftMeanMs: string): string {
  return `6,meta-llama/Llama-2-70b-hf,H100,4,FP16,2048,128,0.9,True,codegen,11,4,100,466,247,${stage},5,600,${ttftMeanMs},58,106,17,4333,4446,5568`;
}

describe('measuredRuns', () => {
  it('gathers the stages of a run in their order, with TPOT derived from means', () => {
    const [run, ...others] = measuredRuns([
      { file: 'a.csv', text: [OPEN_LOOP, row(1, '56'), row(0, '53')].join('\n') },
    ]);
    expect(others).toEqual([]);
    expect(run!.stages.map((stage) => stage.stage)).toEqual([0, 1]);
    expect(run!.stages[0]!.measured.tpotMean).toBeCloseTo((4333 - 53) / 246, 10);
    expect(run).toMatchObject({ tensorParallel: 4, fp8: false, gpuMemoryUtilization: 0.9, blocksTotal: null });
  });

  it('takes a stage that two files hold once', () => {
    const file = (name: string) => ({ file: name, text: [OPEN_LOOP, row(0, '53')].join('\n') });
    const runs = measuredRuns([file('a.csv'), file('b.csv')]);
    expect(runs.flatMap((run) => run.stages)).toHaveLength(1);
  });

  it('names file, line, column and value of what is no number', () => {
    const text = [OPEN_LOOP, row(0, 'fast')].join('\n');
    expect(() => measuredRuns([{ file: 'a.csv', text }])).toThrow(
      'a.csv: line 2: ttft_mean_ms: "fast" is not allowed; a number of at least 0',
    );
  });

  it('refuses a table of something else', () => {
    expect(() => measuredRuns([{ file: 'a.csv', text: 'x,y\n1,2' }])).toThrow('column exp_id or experiment is missing');
  });
});
