import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALERT_RULES, BACKFILLED, evaluateAlerts, withThreshold } from '../../src/observability/alerts/index.ts';
import type { MetricsHistory } from '../../src/observability/index.ts';
import { compareWithOracle } from '../../src/runtime/alert-oracle.ts';
import { MetricsObserver } from '../../src/runtime/metrics-observer.ts';
import { openOracle, type PrometheusOracle } from '../../src/runtime/prometheus-oracle.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { hasPrometheus } from '../support/prometheus-tools.ts';
import { CHAT, scenario } from './scenarios.ts';

/** Half an hour with failures, an outage, both kinds of stall and a cache that is too small. */
const SPEC = scenario({
  workload: `{kind: generated, arrivals: {process: poisson, requests_per_second: 3}, content: ${CHAT}}`,
  engine: '{num_gpu_blocks: 300, admission_policy: as-needed, watermark: 0}',
  faults: `[{kind: failing, from: 1min, to: 8min, every: 4s}, {kind: process-down, from: 10min, to: 12min},
    {kind: slow-host, from: 15min, to: 18min, factor: 40000}, {kind: hang, from: 22min, to: 24min}]`,
  limits: '{duration: 28min}',
});

describe.skipIf(!hasPrometheus())('a history in a real Prometheus', () => {
  let history: MetricsHistory;
  let oracle: PrometheusOracle;
  beforeAll(async () => {
    const observer = MetricsObserver.of(SPEC);
    await runSimulation(SPEC, { observers: [observer] });
    history = observer.history;
    oracle = await openOracle(history);
  });
  afterAll(() => oracle?.close());

  it('answers with the samples of the history, at its times', async () => {
    const [received] = await oracle.queryRange('gateway_requests_received_total');
    const rows = Array.from({ length: history.length }, (_, row) => row).filter((row) => history.up(row));
    expect(received!.labels).toEqual({ job: 'engine', instance: 'twinfer' });
    // After a scrape that failed the sample before it counts for the look-back.
    expect(received!.times).toEqual(expect.arrayContaining(rows.map((row) => history.timeSeconds(row))));
    const [up] = await oracle.query('sum_over_time(up[1h])');
    expect(up!.values).toEqual([rows.length]);
  });

  it('is judged there as in process, to the sample', async () => {
    const verdict = evaluateAlerts(history, ALERT_RULES, BACKFILLED);
    const fired = new Set(verdict.intervals.flatMap((one) => (one.firingSeconds === null ? [] : [one.alert])));
    expect(fired).toContain('RequestFailures');
    expect(fired).toContain('EngineDown');
    // By the histogram first and by the heartbeat later: one alert of two sides of an `or`.
    expect(
      verdict.intervals.filter((one) => one.alert === 'SchedulerStall' && one.firingSeconds !== null),
    ).toHaveLength(2);
    const { differences, samplesCompared } = await compareWithOracle(oracle, history, ALERT_RULES, verdict.samples);
    expect(differences).toEqual([]);
    expect(samplesCompared).toBeGreaterThan(5 * history.length);
  });

  it('differs where the rules do', async () => {
    const rules = ALERT_RULES.map((rule) => withThreshold(rule, 0.5));
    const verdict = evaluateAlerts(history, rules, BACKFILLED);
    const { differences } = await compareWithOracle(oracle, history, ALERT_RULES, verdict.samples);
    expect(differences.length).toBeGreaterThan(0);
  });
});
