import { ALERT_STATE, type AlertRule, type AlertSamples, promql } from '../observability/alerts/index.ts';
import type { MetricsHistory } from '../observability/index.ts';
import type { OracleSeries, PrometheusOracle } from './prometheus-oracle.ts';

/** Where two verdicts are not the same. */
export interface AlertDifference {
  readonly alert: string;
  readonly labels: string;
  readonly timeSeconds: number;
  readonly inProcess: string;
  readonly prometheus: string;
}

export interface OracleVerdict {
  /** States compared: rows of the history, times the alerts that were ever active on either side. */
  readonly samplesCompared: number;
  /** Alerts of one set of labels that differ somewhere. */
  readonly differing: number;
  /** The first difference of each of them. */
  readonly differences: readonly AlertDifference[];
}

/** Values are sums of many floats, added in another order. */
const RELATIVE_ERROR_MAX = 1e-9;
const STATE_NAMES = ['inactive', 'pending', 'firing'] as const;

/**
 * Lets Prometheus evaluate the condition of each rule at every row of the history, makes states of it, and compares them and
 * the values with `inProcess`, the verdict of `evaluateAlerts` with `BACKFILLED`.
 */
export async function compareWithOracle(
  oracle: PrometheusOracle,
  history: MetricsHistory,
  rules: readonly AlertRule[],
  inProcess: readonly AlertSamples[],
  progress: (rule: string) => void = () => {},
): Promise<OracleVerdict> {
  const differences: AlertDifference[] = [];
  let samplesCompared = 0;
  for (const rule of rules) {
    progress(rule.name);
    const theirs = new Map<string, AlertSamples>();
    for (const [key, parts] of byLabels(await oracle.queryRange(promql(rule.condition)))) {
      theirs.set(key, samplesOf(rule, parts, history));
    }
    const ours = new Map(
      inProcess.filter(({ alert }) => alert === rule.name).map((samples) => [keyOf(samples.labels), samples] as const),
    );
    for (const key of new Set([...ours.keys(), ...theirs.keys()])) {
      samplesCompared += history.length;
      const first = firstDifference(key, rule, history, ours.get(key), theirs.get(key));
      if (first !== null) differences.push(first);
    }
  }
  return { samplesCompared, differing: differences.length, differences };
}

/** An alert has no name of a metric: series that differ in nothing else (the sides of an `or`) are the same alert at other times. */
function byLabels(all: readonly OracleSeries[]): Map<string, OracleSeries[]> {
  const groups = new Map<string, OracleSeries[]>();
  for (const series of all) {
    const key = keyOf(series.labels);
    groups.set(key, [...(groups.get(key) ?? []), series]);
  }
  return groups;
}

/** Prometheus' state machine over the moments at which the condition had that element. */
function samplesOf(rule: AlertRule, parts: readonly OracleSeries[], history: MetricsHistory): AlertSamples {
  const states = new Uint8Array(history.length);
  const values = new Float64Array(history.length).fill(Number.NaN);
  const found = new Map<number, number>();
  for (const part of parts) {
    part.times.forEach((time, i) => {
      found.set(Math.round(time * 1000), part.values[i]!);
    });
  }
  let activeMs = Number.NaN;
  for (let row = 0; row < history.length; row++) {
    const ms = Math.round(history.timeSeconds(row) * 1000);
    const value = found.get(ms);
    if (value === undefined) {
      activeMs = Number.NaN;
      continue;
    }
    if (Number.isNaN(activeMs)) activeMs = ms;
    states[row] = ms - activeMs >= rule.forSeconds * 1000 ? ALERT_STATE.firing : ALERT_STATE.pending;
    values[row] = value;
  }
  return { alert: rule.name, severity: rule.severity, labels: parts[0]!.labels, states, values };
}

function firstDifference(
  labels: string,
  rule: AlertRule,
  history: MetricsHistory,
  ours: AlertSamples | undefined,
  theirs: AlertSamples | undefined,
): AlertDifference | null {
  for (let row = 0; row < history.length; row++) {
    const [a, b] = [ours?.states[row] ?? 0, theirs?.states[row] ?? 0];
    const [x, y] = [ours?.values[row] ?? Number.NaN, theirs?.values[row] ?? Number.NaN];
    if (a === b && (a === 0 || alike(x, y))) continue;
    const text = (state: number, value: number) => `${STATE_NAMES[state]}${state === 0 ? '' : ` (${value})`}`;
    const timeSeconds = history.timeSeconds(row);
    return { alert: rule.name, labels, timeSeconds, inProcess: text(a, x), prometheus: text(b, y) };
  }
  return null;
}

function alike(x: number, y: number): boolean {
  if (Object.is(x, y)) return true;
  return Math.abs(x - y) <= RELATIVE_ERROR_MAX * Math.max(Math.abs(x), Math.abs(y));
}

function keyOf(labels: Readonly<Record<string, string>>): string {
  return Object.keys(labels)
    .sort()
    .map((name) => `${name}=${JSON.stringify(labels[name])}`)
    .join(',');
}
