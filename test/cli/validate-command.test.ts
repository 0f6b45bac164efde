import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ServingValidation } from '../../src/runtime/validate-serving.ts';
import { capturedCli } from './captured-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'twinfer-validate-'));
afterAll(() => rmSync(folder, { recursive: true }));

const HEAD =
  'exp_id,model,hardware,tp,precision,max_num_batched_tokens,max_num_seqs,gpu_memory_utilization,cpu_offload,workload,' +
  'num_system_prompts,users_per_system_prompt,system_prompt_len,question_len,output_len,stage,rate_rps,stage_duration_s,' +
  'ttft_mean_ms,ttft_p90_ms,ttft_p99_ms,itl_mean_ms,e2e_mean_ms,e2e_p90_ms,e2e_p99_ms';

/** Two stages of one server, one of a mixture of experts, one that asks for more than is served, one of a device without a profile. */
const ROWS = [
  '1,meta-llama/Llama-3.1-8B-Instruct,H100,1,BF16,2048,128,0.9,,chat,3,5,100,447,100,0,4,20,26,29,50,7,750,760,900',
  '1,meta-llama/Llama-3.1-8B-Instruct,H100,1,BF16,2048,128,0.9,,chat,3,5,100,447,100,1,8,20,28,31,35,7,780,800,820',
  '2,mistralai/Mixtral-8x7B-v0.1,H100,2,BF16,2048,128,0.9,,chat <b>,3,5,100,447,100,0,4,20,60,65,200,10,1100,1200,1500',
  '3,meta-llama/Llama-2-7b-hf,H100,1,BF16,2048,16,0.9,,heavy,3,5,100,447,400,0,40,20,900,950,990,9,9000,9500,9900',
  '4,meta-llama/Llama-3.1-8B-Instruct,A100-80GB,1,BF16,2048,128,0.9,,chat,3,5,100,447,100,0,4,20,40,45,60,12,1300,1400,1500',
];
const csv = join(folder, 'measured.csv');
writeFileSync(csv, [HEAD, ...ROWS].join('\n'));

describe('twinfer validate', () => {
  it('compares stages, reports overload as such and skips what has no profile with its reason', async () => {
    const { code, stdout, stderr } = await capturedCli(['validate', '--json', csv]);
    expect([code, stderr]).toEqual([0, '']);
    const { stages, summary } = JSON.parse(stdout) as ServingValidation;
    expect(stages.map(({ status }) => status)).toEqual(['compared', 'compared', 'compared', 'saturated', 'skipped']);
    expect(stages[3]!.reason).toMatch(/the queue grows/);
    expect(stages[4]!.reason).toMatch(/A100-80GB: no device profile; there is one of H100-SXM-80GB/);
    const keys = ['e2eMean', 'e2eP99', 'ttftMean', 'ttftP99', 'tpotMean', 'ttftP99Warm', 'ttftP99Cold'] as const;
    for (const key of keys) {
      expect(Object.keys(summary[key])).toEqual(
        expect.arrayContaining(['medianAbsError', 'meanAbsError', 'p90AbsError', 'bias', 'coverage', 'count']),
      );
    }
    expect(summary.e2eMean.count).toBe(3);
    expect([summary.ttftP99Warm.count, summary.ttftP99Cold.count]).toEqual([1, 2]);
  });

  it('writes a page with a point for every compared stage, metric and view', async () => {
    const page = join(folder, 'page.html');
    const { code } = await capturedCli(['validate', '--html', page, csv]);
    expect(code).toBe(0);
    const html = readFileSync(page, 'utf8');
    // Three stages, six metrics, against the measured figure and against the load.
    expect(html.match(/<circle /g)).toHaveLength(3 * 6 * 2);
    expect(html.match(/<circle class="hollow"/g)).toHaveLength(2 * 6 * 2);
    expect(html).toContain('Llama-3.1-8B-Instruct x 1, chat 1, 8/s: measured 780 ms, predicted ');
    expect(html).toContain('saturated: more arrives than H100 x 1 serves');
    expect(html).toContain('skipped: A100-80GB: no device profile');
    expect(html).toContain('5 stages in');
    expect(html).toContain('twinfer validate --html');
    expect(html.replaceAll(/<style>[\s\S]*<\/style>/g, '')).not.toMatch(/undefined|NaN|Infinity|\[object/);
  });

  it('writes a page that asks for nothing, runs nothing and takes names for text', async () => {
    const page = join(folder, 'safe.html');
    await capturedCli(['validate', '--html', page, csv]);
    const html = readFileSync(page, 'utf8');
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<script|https?:|@import|url\(|\s(?:src|href)=/i);
    expect(html).toContain('chat &lt;b&gt;');
    expect(html).not.toContain('chat <b>');
  });

  it('leaves no page where it cannot be written', async () => {
    const page = join(folder, 'nowhere', 'page.html');
    const { code, stderr } = await capturedCli(['validate', '--html', page, csv]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--html .*nowhere.*no such file or directory/);
    expect(existsSync(page)).toBe(false);
  });

  it('writes a page where nothing could be compared', async () => {
    const page = join(folder, 'empty.html');
    const skipped = join(folder, 'skipped.csv');
    writeFileSync(skipped, [HEAD, ROWS[4]].join('\n'));
    const { code } = await capturedCli(['validate', '--html', page, skipped]);
    expect(code).toBe(0);
    expect(readFileSync(page, 'utf8')).toContain('No stage could be compared.');
  });
});
