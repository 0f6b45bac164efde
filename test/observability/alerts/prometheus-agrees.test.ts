import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ALERT_RULES,
  ALERT_STATE,
  type AlertLabels,
  BACKFILLED,
  ExpressionEvaluation,
  evaluateAlerts,
  metricsOf,
  promql,
  SLO_RULES,
  type VectorExpression,
} from '../../../src/observability/alerts/index.ts';
import type { MetricName, MetricsHistory } from '../../../src/observability/index.ts';
import { openMetricsOf } from '../../../src/observability/openmetrics-history.ts';
import { hasPrometheus, prometheusApi, type RunningTool, runTool, startTool } from '../../support/prometheus-tools.ts';
import { EXPRESSION_CASE } from './expression-cases.ts';
import { HISTORY_CASE, historyOfCase } from './history-cases.ts';

const RULES = [...ALERT_RULES, ...SLO_RULES];
const START_SECONDS = 1_705_312_800.123;
const CASES = 16;
const EXPRESSIONS_PER_CASE = 30;
const seed = Math.floor(Math.random() * 2 ** 31);

const cases = fc.sample(HISTORY_CASE, { seed, numRuns: CASES }).map((each, index) => {
  const history = historyOfCase(each, START_SECONDS);
  return { ...each, history, labels: { job: `case-${index}`, instance: 'twinfer' } };
});
const expressions = fc.sample(EXPRESSION_CASE, { seed, numRuns: CASES * EXPRESSIONS_PER_CASE });

/** Values by labels at one moment. */
type Vector = Map<string, number>;

describe.skipIf(!hasPrometheus())(`Prometheus agrees (seed ${seed})`, () => {
  let prometheus: RunningTool;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'twinfer-prometheus-'));
    const texts = cases.flatMap(({ history, labels }) =>
      [...openMetricsOf(history, { scrapeLabels: labels, metrics: METRICS })].slice(0, -1),
    );
    writeFileSync(join(folder, 'cases.om'), `${texts.join('')}# EOF\n`);
    const data = join(folder, 'data');
    await runTool('promtool', [
      'tsdb',
      'create-blocks-from',
      'openmetrics',
      '--max-block-duration=24h',
      join(folder, 'cases.om'),
      data,
    ]);
    writeFileSync(join(folder, 'prometheus.yml'), '');
    prometheus = await startTool('prometheus', (address) => [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${data}`,
      '--storage.tsdb.retention.time=100y',
      `--query.lookback-delta=${BACKFILLED.lookbackSeconds}s`,
      `--web.listen-address=${address}`,
    ]);
  });
  afterAll(async () => {
    await prometheus?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('on what every rule says at every scrape, and on its state', async () => {
    const fired = new Set<string>();
    for (const one of cases) {
      const judged = evaluateAlerts(one.history, RULES, { ...BACKFILLED, scrapeLabels: one.labels });
      for (const rule of RULES) {
        const theirs = await theirVectors(prometheus.url, promql(rule.condition, one.labels.job), one);
        expectSame(ourVectors(rule.condition, one), theirs, `${describeCase(one)}: ${rule.name}`);
        const states = statesOf(theirs, one.history, rule.forSeconds);
        const ours = judged.samples.filter(({ alert }) => alert === rule.name);
        expect(new Map(ours.map(({ labels, states }) => [keyOf(labels), [...states]]))).toEqual(states);
      }
      for (const { alert, firingSeconds } of judged.intervals) if (firingSeconds !== null) fired.add(alert);
    }
    // Else the cases say little.
    expect(fired.size).toBeGreaterThan(RULES.length / 2);
  });

  it('on the value of any expression', async () => {
    for (const [index, one] of cases.entries()) {
      for (const expression of expressions.slice(index * EXPRESSIONS_PER_CASE, (index + 1) * EXPRESSIONS_PER_CASE)) {
        const ours = ourVectors(expression, one);
        const text = promql(expression, one.labels.job);
        if (ours !== null) {
          expectSame(ours, await theirVectors(prometheus.url, text, one), `${describeCase(one)}: ${text}`);
        }
      }
    }
  });
});

type Case = (typeof cases)[number];

/** By row; null: in process it is refused, since it might match many elements with many. */
function ourVectors(expression: VectorExpression, { history, labels }: Case): Vector[] | null {
  const evaluation = new ExpressionEvaluation({ ...BACKFILLED, scrapeLabels: labels });
  let node: ReturnType<ExpressionEvaluation['add']>;
  try {
    node = evaluation.add(expression);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
  return Array.from({ length: history.length }, (_, row) => {
    evaluation.scrape(history.timeSeconds(row), history.up(row) ? history.row(row) : null);
    const vector: Vector = new Map();
    for (const [i, each] of node.labels.entries()) if (node.present[i] === 1) vector.set(keyOf(each), node.values[i]!);
    return vector;
  });
}

/** The same from Prometheus, by a query over the whole grid. */
async function theirVectors(url: string, query: string, { history, gridSeconds }: Case): Promise<Vector[]> {
  const rows = new Map(
    Array.from({ length: history.length }, (_, row) => [Math.round(history.timeSeconds(row) * 1000), row]),
  );
  const vectors = Array.from(rows, (): Vector => new Map());
  const { result } = await prometheusApi<{
    result: { metric: Record<string, string>; values: [number, string][] }[];
  }>(url, 'query_range', {
    query,
    start: String(history.timeSeconds(0)),
    end: String(history.timeSeconds(history.length - 1)),
    step: String(gridSeconds),
  });
  for (const { metric, values } of result) {
    const { __name__: _, ...labels } = metric;
    for (const [seconds, value] of values) {
      const row = rows.get(Math.round(seconds * 1000));
      if (row !== undefined) vectors[row]!.set(keyOf(labels), numberOf(value));
    }
  }
  return vectors;
}

function expectSame(ours: readonly Vector[] | null, theirs: readonly Vector[], where: string): void {
  expect(ours, where).not.toBeNull();
  for (const [row, vector] of theirs.entries()) {
    const own = ours![row]!;
    expect([...own.keys()].sort(), `${where}, row ${row}`).toEqual([...vector.keys()].sort());
    for (const [key, value] of vector) {
      const same = Object.is(own.get(key), value);
      expect(same, `${where}, row ${row}, ${key}: ${own.get(key)}, Prometheus ${value}`).toBe(true);
    }
  }
}

/** Prometheus' state machine on what its query gave, by labels. */
function statesOf(vectors: readonly Vector[], history: MetricsHistory, forSeconds: number): Map<string, number[]> {
  const states = new Map<string, number[]>();
  const activeMs = new Map<string, number>();
  for (const [row, vector] of vectors.entries()) {
    const nowMs = Math.round(history.timeSeconds(row) * 1000);
    for (const key of activeMs.keys()) if (!vector.has(key)) activeMs.delete(key);
    for (const key of vector.keys()) {
      if (!activeMs.has(key)) activeMs.set(key, nowMs);
      if (!states.has(key))
        states.set(
          key,
          vectors.map(() => ALERT_STATE.inactive),
        );
      const holds = nowMs - activeMs.get(key)! >= forSeconds * 1000;
      states.get(key)![row] = holds ? ALERT_STATE.firing : ALERT_STATE.pending;
    }
  }
  return states;
}

function describeCase({ seed: caseSeed, gridSeconds, labels }: Case): string {
  return `seed ${seed}, ${labels.job} (${caseSeed}, every ${gridSeconds} s)`;
}

function keyOf(labels: AlertLabels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function numberOf(text: string): number {
  return text === '+Inf' ? Number.POSITIVE_INFINITY : text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text);
}

const METRICS = new Set<MetricName>([...metricsOf(RULES), 'gpu_forward_seconds_total', 'request_latency_seconds']);
