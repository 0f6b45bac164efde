import { describe, expect, it } from 'vitest';
import type { CapacitySummary } from '../../../src/simulation/capacity-summary.ts';
import type { PredictionSummary } from '../../../src/simulation/prediction-summary.ts';
import { htmlReport } from '../../../src/simulation/report/html-report.ts';
import { textReport } from '../../../src/simulation/report/text-report.ts';
import { sampleRun } from './sample-run.ts';

const { run, summary } = sampleRun();

const CAPACITY: CapacitySummary = {
  saturated: false,
  requestsPerSecond: 8,
  queueGrowthPerSecond: 0,
  sustainableRequestsPerSecond: 20,
  load: 0.4,
  binding: 'sequences',
  utilization: { sequences: 0.07, kvBlocks: 0.04, tokenBudget: 0.03 },
};

const figure = (value: number) => ({ value, low: value / 1.1, high: value * 1.1 });
const PREDICTION: PredictionSummary = {
  reason: null,
  basis: 'vllm-0.15',
  regime: null,
  metrics: {
    ttftMean: figure(0.05),
    ttftP50: { value: 0.05, low: null, high: null },
    ttftP90: null,
    ttftP99: figure(0.2),
    tpotMean: figure(0.01),
    e2eMean: figure(2),
    e2eP50: null,
    e2eP99: figure(4),
    throughput: figure(8),
  },
};

function reports(capacity: CapacitySummary, prediction: PredictionSummary, host = 'vllm-0.15'): string[] {
  const document = { ...summary, timing: { ...summary.timing, host }, capacity, prediction };
  const page = { settings: [], command: 'twinfer', uPlotScript: '', uPlotStyle: '' };
  return [textReport(run, document), htmlReport({ run, summary: document, ...page })];
}

describe('a report of a run', () => {
  it('gives the interval of each headline figure that has one, and the distance to saturation', () => {
    for (const report of reports(CAPACITY, PREDICTION)) {
      expect(report).toMatch(/TTFT mean\D+50\.0 ms\D+45\.5 ms\D+55\.0 ms/);
      expect(report).toMatch(/TPOT, ITL mean\D+10\.0 ms\D+9\.09 ms\D+11\.0 ms/);
      expect(report).not.toContain('TTFT p50 ');
      expect(report).toContain('8.00 requests/s arrive, 40.0 % of an estimated 20.0/s');
      expect(report).toContain('max_num_seqs runs out first');
      expect(report).not.toContain('measurements of');
    }
  });

  it('says when the intervals are of another engine, and why there are none', () => {
    for (const report of reports(CAPACITY, PREDICTION, 'twinfer')) {
      expect(report).toContain('intervals from measurements of vllm-0.15');
    }
    const none = { reason: 'no intervals: for a reason', basis: null, regime: null, metrics: null };
    for (const report of reports(CAPACITY, none)) expect(report).toContain('Prediction: no intervals: for a reason');
  });

  it('gives no latency past saturation, and says so', () => {
    const past = { ...CAPACITY, saturated: true, requestsPerSecond: 24, load: 1.2, queueGrowthPerSecond: 4 };
    const none = { reason: 'saturated', basis: null, regime: null, metrics: null };
    for (const report of reports(past, none)) {
      expect(report).toContain('Saturated: 24.0 requests/s arrive, against an estimated 20.0/s');
      expect(report).toContain('the queue gains 4.00 of them each second');
      expect(report).not.toMatch(/TTFT[^\n]*50\.0 ms/);
    }
    const full = { ...past, queueGrowthPerSecond: 0 };
    for (const report of reports(full, none)) expect(report).toContain('the queue is full and turns requests away');
  });
});
