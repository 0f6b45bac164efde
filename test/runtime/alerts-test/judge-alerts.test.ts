import { beforeAll, describe, expect, it } from 'vitest';
import { ALERT_RULES, BACKFILLED, evaluateAlerts } from '../../../src/observability/alerts/index.ts';
import type { MetricsHistory } from '../../../src/observability/index.ts';
import type { Violation } from '../../../src/runtime/alerts-test/alert-truth.ts';
import { judgeAlerts } from '../../../src/runtime/alerts-test/judge-alerts.ts';
import { judgedRun, specOf } from './judged-run.ts';

const RULES = ALERT_RULES.filter(({ name }) => name === 'GPUFailure' || name === 'HighTTFT');

describe('judging alerts by what really happened', () => {
  let history: MetricsHistory;
  beforeAll(async () => {
    // GPUFailure is pending from 240 s, fires from 270 s and is over at 360 s; HighTTFT is silent.
    ({ history } = await judgedRun(specOf('scenarios/alerts/gpu-failure.yaml')));
  });

  const judged = (violations: Violation[] | null) => {
    const verdict = evaluateAlerts(history, RULES, BACKFILLED);
    return judgeAlerts(history, RULES, verdict, () => violations);
  };
  const gpu = (violations: Violation[]) => judged(violations).find(({ alert }) => alert === 'GPUFailure')!.quality;

  it('counts a firing as right when a violation is going on, and a violation as noticed when it fires', () => {
    expect(gpu([{ fromSeconds: 240, toSeconds: 360 }])).toEqual({
      firings: 1,
      firingSeconds: 90,
      precision: 1,
      recall: 1,
      delaysSeconds: [30],
    });
    expect(gpu([{ fromSeconds: 400, toSeconds: 500 }])).toMatchObject({ precision: 0, recall: 0, delaysSeconds: [] });
    expect(
      gpu([
        { fromSeconds: 300, toSeconds: 310 },
        { fromSeconds: 400, toSeconds: 500 },
      ]),
    ).toMatchObject({
      precision: 1,
      recall: 0.5,
      // It fired before: noticed at once.
      delaysSeconds: [0],
    });
    expect(gpu([])).toMatchObject({ precision: 0, recall: null });
  });

  it('says nothing of the precision of an alert that never fires, nor of a rule about which nothing is known', () => {
    const [first] = judged([{ fromSeconds: 100, toSeconds: 500 }]);
    expect(first).toMatchObject({ alert: 'HighTTFT', quality: { firings: 0, precision: null, recall: 0 } });
    expect(judged(null)).toEqual([]);
  });

  it('tries thresholds lower and higher where a rule has some', () => {
    const [ttft, failure] = judged([]);
    expect(ttft!.thresholds).toEqual([0.5]);
    expect([ttft!.lower, ttft!.higher]).toMatchObject([{ firings: 0 }, { firings: 0 }]);
    expect([failure!.thresholds, failure!.lower, failure!.higher]).toEqual([[], null, null]);
  });
});
