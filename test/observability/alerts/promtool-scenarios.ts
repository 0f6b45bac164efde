import {
  ALERT_RULES,
  type AlertHistory,
  alertText,
  metricsOf,
  runbookUrl,
} from '../../../src/observability/alerts/index.ts';
import type { MetricsHistory } from '../../../src/observability/index.ts';
import { openMetricsOf } from '../../../src/observability/openmetrics-history.ts';
import { INTERVAL_SECONDS } from './written-history.ts';

const LINE = /^(\w+\{.*\}) (\S+) \S+$/;

/** A history as `input_series` of `promtool test rules`: a series that ends is marked stale, as a scrape would. */
export function inputSeries(history: MetricsHistory): { series: string; values: string }[] {
  const columns = new Map<string, string[]>();
  let row = 0;
  for (const scrape of openMetricsOf(history, { metrics: metricsOf(ALERT_RULES) })) {
    for (const line of scrape.split('\n')) {
      const [, series, value] = LINE.exec(line) ?? [];
      if (series === undefined) continue;
      let column = columns.get(series);
      if (column === undefined) {
        column = Array<string>(row).fill('_');
        columns.set(series, column);
      }
      column.push(value!);
    }
    row++;
    if (row > history.length) break;
    for (const column of columns.values()) {
      if (column.length < row) column.push(column.at(-1) === '_' || column.at(-1) === 'stale' ? '_' : 'stale');
    }
  }
  return Array.from(columns, ([series, values]) => ({ series, values: runs(values) }));
}

/** Alerts that must fire at some rows, with labels and texts, as `alert_rule_test`. */
export function alertTests(judged: AlertHistory, rows: readonly number[]) {
  return rows.flatMap((row) =>
    ALERT_RULES.map((rule) => ({
      eval_time: `${row * INTERVAL_SECONDS}s`,
      alertname: rule.name,
      exp_alerts: judged.samples
        .filter(({ alert, states }) => alert === rule.name && states[row] === 2)
        .map(({ labels, values }) => ({
          exp_labels: { ...labels, severity: rule.severity },
          exp_annotations: {
            summary: alertText(rule.summary, values[row]!, labels),
            description: alertText(rule.description, values[row]!, labels),
            runbook_url: runbookUrl(rule.name),
          },
        })),
    })),
  );
}

/** Equal neighbours as one word: `7+0x3` is four times 7. */
function runs(values: readonly string[]): string {
  const words: string[] = [];
  for (let from = 0; from < values.length; ) {
    let to = from + 1;
    while (to < values.length && values[to] === values[from]) to++;
    const value = values[from]!;
    if (value === '_') words.push(`_x${to - from}`);
    else if (value === 'stale') words.push('stale');
    else words.push(to - from === 1 ? value : `${value}+0x${to - from - 1}`);
    from = to;
  }
  return words.join(' ');
}
