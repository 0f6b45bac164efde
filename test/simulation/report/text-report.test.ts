import { describe, expect, it } from 'vitest';
import { textReport } from '../../../src/simulation/report/text-report.ts';
import { sampleRun } from './sample-run.ts';

describe('textReport', () => {
  const { run, summary } = sampleRun();
  const text = textReport(run, summary);
  const row = (label: string): string => text.split('\n').find((line) => line.includes(label)) ?? '';

  it('prints every latency with its statistics in readable units', () => {
    expect(row('TTFT').match(/[\d.]+ m?s/g)).toEqual(Array(6).fill('50.0 ms'));
    for (const label of ['TPOT', 'ITL', 'E2E', 'Queue']) expect(row(label)).not.toBe('');
  });

  it('prints books that can be added up', () => {
    expect(row('injected')).toBe(
      'Requests  21 injected = 20 completed + 1 rejected + 0 aborted + 0 timed out + 0 failed',
    );
    expect(row('scheduled')).toBe('Prompt    1,360 scheduled = 2,000 prompt - 640 cached + 0 recomputed');
    expect(row('Rejected ')).toBe('Rejected  1 never-fits');
  });

  it('prints peaks, preemptions by reason and the verdict on each target', () => {
    expect(row('KV blocks, peak')).toContain('50 of 100 (50.0 %)');
    expect(row('Preemptions: memory')).toMatch(/Preemptions: memory\D+1\D*$/);
    expect(row('ttft p99')).toContain('pass');
    expect(row('prefix_hit_ratio')).toContain('FAIL');
    expect(text).toContain(`digest ${summary.digest} (records), seed 42`);
  });

  it('draws tables whose lines are all as wide', () => {
    for (const table of text.split('\n\n').filter((part) => part.startsWith('┌'))) {
      expect(
        new Set(
          table
            .trimEnd()
            .split('\n')
            .map((line) => line.length),
        ).size,
      ).toBe(1);
    }
  });

  it('has no colour codes, so that it can be piped', () => {
    expect(text).not.toContain('\u001b');
  });
});
