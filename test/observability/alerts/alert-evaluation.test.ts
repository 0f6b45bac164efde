import { describe, expect, it } from 'vitest';
import {
  ALERT_RULES,
  ALERT_STATE,
  AlertEvaluation,
  evaluateAlerts,
  withThreshold,
  withTimeFactor,
} from '../../../src/observability/alerts/index.ts';
import { createMetricsPage } from '../../../src/observability/index.ts';
import { writtenHistory } from './written-history.ts';

function rule(name: string) {
  return ALERT_RULES.find((each) => each.name === name)!;
}

describe('alerts', () => {
  it('are pending, fire once their condition has held for long enough, and end with it', () => {
    const history = writtenHistory(20, (page, row) => {
      page.cells[page.cell('scheduler_waiting_queue_size')] = row >= 4 && row < 12 ? 101 : 100;
    });
    const { intervals, samples } = evaluateAlerts(history, [rule('QueueBacklog')]);
    const labels = { job: 'engine', instance: 'twinfer' };
    expect(intervals).toEqual([
      { alert: 'QueueBacklog', severity: 'warning', labels, pendingSeconds: 60, firingSeconds: 120, endSeconds: 180 },
    ]);
    const { inactive, pending, firing } = ALERT_STATE;
    expect([...samples[0]!.states.subarray(3, 13)]).toEqual([
      inactive,
      ...Array(4).fill(pending),
      ...Array(4).fill(firing),
      inactive,
    ]);
    expect(samples[0]!.values[4]).toBe(101);
  });

  it('are one per GPU, named in the text', () => {
    const evaluation = new AlertEvaluation([rule('GPUFailure')]);
    const page = createMetricsPage();
    page.cells[page.cell('gpu_health_status', '2')] = 0;
    page.cells[page.cell('gpu_health_status', '3')] = 1;
    expect(evaluation.step(0, page.cells)).toMatchObject([{ from: 'inactive', to: 'pending' }]);
    expect(evaluation.step(30, page.cells)).toMatchObject([{ from: 'pending', to: 'firing' }]);
    expect(evaluation.current()).toMatchObject([
      {
        alert: 'GPUFailure',
        state: 'firing',
        sinceSeconds: 0,
        firingSinceSeconds: 30,
        labels: { gpu_id: '2' },
        description: 'GPU 2 is unhealthy',
      },
    ]);
    expect(evaluation.step(45, null)).toMatchObject([{ from: 'firing', to: 'inactive' }]);
  });

  it('say that the engine is down when nothing else can', () => {
    const history = writtenHistory(
      12,
      (page) => {
        page.cells[page.cell('scheduler_waiting_queue_size')] = 500;
      },
      (row) => row >= 6,
    );
    const { intervals } = evaluateAlerts(history);
    expect(intervals.map(({ alert, firingSeconds, endSeconds }) => [alert, firingSeconds, endSeconds])).toEqual([
      ['EngineDown', 150, null],
      ['QueueBacklog', 60, 90],
    ]);
  });

  it('keep a series that has gone for the look-back where nothing marks its end', () => {
    const history = writtenHistory(8, (page, row) => {
      page.cells[page.cell('gpu_health_status', '0')] = row < 2 ? 0 : Number.NaN;
    });
    const ends = (staleMarkers: boolean) =>
      evaluateAlerts(history, [rule('GPUFailure')], { lookbackSeconds: 30, staleMarkers }).intervals[0]!.endSeconds;
    expect(ends(true)).toBe(30);
    expect(ends(false)).toBe(60);
  });

  it('can be tried with other thresholds and shorter times', () => {
    const history = writtenHistory(8, (page) => {
      page.cells[page.cell('scheduler_waiting_queue_size')] = 95;
    });
    expect(evaluateAlerts(history, [rule('QueueBacklog')]).intervals).toEqual([]);
    const lower = withThreshold(rule('QueueBacklog'), 0.9);
    expect(evaluateAlerts(history, [lower]).intervals).toMatchObject([{ pendingSeconds: 0, firingSeconds: 60 }]);
    expect(evaluateAlerts(history, [withTimeFactor(lower, 0.5)]).intervals).toMatchObject([{ firingSeconds: 30 }]);
  });
});
