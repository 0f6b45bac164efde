import {
  ALERT_RULES,
  type AlertHistory,
  type AlertInterval,
  BACKFILLED,
  evaluateAlerts,
} from '../../observability/alerts/index.ts';
import type { MetricsHistory } from '../../observability/index.ts';
import { compareWithOracle, type OracleVerdict } from '../alert-oracle.ts';
import { openOracle } from '../prometheus-oracle.ts';
import type { RunSpec } from '../run-spec.ts';
import { wallNs } from '../system-clock.ts';
import { violationsOf } from './alert-truth.ts';
import { type Incident, incidentsOf } from './incidents.ts';
import { type AlertJudgement, judgeAlerts } from './judge-alerts.ts';
import type { WorldRecord } from './world-record.ts';

/** Something that a scenario says of an alert, and whether it was so. */
export interface ExpectationResult {
  readonly alert: string;
  readonly expected: 'fires' | 'stays silent';
  readonly met: boolean;
}

/** What `twinfer alerts test` found out. Times are seconds of the history. */
export interface AlertsTest {
  readonly name: string;
  readonly rows: number;
  readonly intervalSeconds: number;
  readonly endSeconds: number;
  /** What the scenario let happen; empty for a recording. */
  readonly incidents: readonly Incident[];
  /** Every time that an alert became pending, in order of the rules. */
  readonly intervals: readonly AlertInterval[];
  readonly expectations: readonly ExpectationResult[];
  /** null: of a recording nobody knows what really happened. */
  readonly judgements: readonly AlertJudgement[] | null;
  /** null: Prometheus was not asked. */
  readonly prometheus: OracleVerdict | null;
  /** Wall time of the parts, seconds. */
  readonly wallSeconds: { readonly judging: number; readonly prometheus: number | null };
}

export interface AlertsTestInput {
  readonly name: string;
  readonly history: MetricsHistory;
  /** null: of a recording. */
  readonly world: { readonly record: WorldRecord; readonly spec: RunSpec } | null;
}

export interface AlertsTestOptions {
  readonly prometheus: boolean;
  readonly progress: (doing: string) => void;
}

/**
 * Judges a history, holds it to what is expected of it, judges the alerts by what really happened and, if asked, lets a real
 * Prometheus repeat the verdict. Everything is judged as a Prometheus would to which the history was written afterwards.
 */
export async function testAlerts(input: AlertsTestInput, options: AlertsTestOptions): Promise<AlertsTest> {
  const { history, world } = input;
  const startNs = wallNs();
  options.progress('judging');
  const verdict = evaluateAlerts(history, ALERT_RULES, BACKFILLED);
  const judgements =
    world === null
      ? null
      : judgeAlerts(history, ALERT_RULES, verdict, (rule) =>
          violationsOf(rule, world.record, world.spec.faults, history.length),
        );
  const judgedNs = wallNs();
  const prometheus = options.prometheus ? await askPrometheus(history, verdict, options.progress) : null;
  const endSeconds = history.timeSeconds(history.length - 1);
  return {
    name: input.name,
    rows: history.length,
    intervalSeconds: history.intervalSeconds,
    endSeconds,
    incidents: world === null ? [] : incidentsOf(world.spec, endSeconds),
    intervals: verdict.intervals,
    expectations: world === null ? [] : expectationResults(world.spec.alerts, verdict.intervals),
    judgements,
    prometheus,
    wallSeconds: {
      judging: (judgedNs - startNs) / 1e9,
      prometheus: prometheus === null ? null : (wallNs() - judgedNs) / 1e9,
    },
  };
}

/** Whether all is as it should be. */
export function passes(test: AlertsTest): boolean {
  return test.expectations.every(({ met }) => met) && (test.prometheus?.differences ?? []).length === 0;
}

function expectationResults(
  { mustFire, mustNotFire }: RunSpec['alerts'],
  intervals: readonly AlertInterval[],
): ExpectationResult[] {
  const fired = new Set(intervals.flatMap((one) => (one.firingSeconds === null ? [] : [one.alert])));
  return [
    ...mustFire.map((alert) => ({ alert, expected: 'fires' as const, met: fired.has(alert) })),
    ...mustNotFire.map((alert) => ({ alert, expected: 'stays silent' as const, met: !fired.has(alert) })),
  ];
}

async function askPrometheus(
  history: MetricsHistory,
  verdict: AlertHistory,
  progress: (doing: string) => void,
): Promise<OracleVerdict> {
  const oracle = await openOracle(history, { progress });
  try {
    return await compareWithOracle(oracle, history, ALERT_RULES, verdict.samples, (rule) => {
      const number = ALERT_RULES.findIndex(({ name }) => name === rule) + 1;
      progress(`asking Prometheus: ${rule}, ${number} of ${ALERT_RULES.length}`);
    });
  } finally {
    await oracle.close();
  }
}
