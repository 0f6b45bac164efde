import type { MetricsHistory } from '../metrics-history.ts';
import { AlertEvaluation } from './alert-evaluation.ts';
import {
  ALERT_STATE,
  type AlertEvaluationOptions,
  type AlertHistory,
  type AlertInterval,
  type AlertSamples,
} from './alert-history.ts';
import type { AlertRule } from './alert-rule.ts';
import { ALERT_RULES } from './alert-rules.ts';
import { type AlertSlot, slotState } from './alert-states.ts';

/** Judges a whole history: at each of its rows, as a Prometheus that scraped it and evaluated its rules then. */
export function evaluateAlerts(
  history: MetricsHistory,
  rules: readonly AlertRule[] = ALERT_RULES,
  options: AlertEvaluationOptions = {},
): AlertHistory {
  const evaluation = new AlertEvaluation(rules, options);
  const records: AlertRecord[] = [];
  evaluation.visit((rule, slot) => records.push(new AlertRecord(rule, slot, history.length)));
  for (let row = 0; row < history.length; row++) {
    const timeSeconds = history.timeSeconds(row);
    evaluation.step(timeSeconds, history.up(row) ? history.row(row) : null);
    for (const record of records) record.see(row, timeSeconds);
  }
  for (const record of records) record.end(null);
  return {
    intervals: records.flatMap((record) => record.intervals),
    samples: records.flatMap((record) => record.samples ?? []),
  };
}

/** What one alert with one set of labels was, row by row. */
class AlertRecord {
  readonly intervals: AlertInterval[] = [];
  /** null while it was never active. */
  samples: AlertSamples | null = null;
  private readonly rule: AlertRule;
  private readonly slot: AlertSlot;
  private readonly rows: number;
  private pendingSeconds: number | null = null;
  private firingSeconds: number | null = null;

  constructor(rule: AlertRule, slot: AlertSlot, rows: number) {
    this.rule = rule;
    this.slot = slot;
    this.rows = rows;
  }

  see(row: number, timeSeconds: number): void {
    const state = slotState(this.slot);
    if (state === 'inactive') {
      this.end(timeSeconds);
      return;
    }
    this.pendingSeconds ??= timeSeconds;
    if (state === 'firing') this.firingSeconds ??= timeSeconds;
    this.samples ??= {
      ...this.identity(),
      states: new Uint8Array(this.rows),
      values: new Float64Array(this.rows).fill(Number.NaN),
    };
    this.samples.states[row] = ALERT_STATE[state];
    this.samples.values[row] = this.slot.value;
  }

  /** It is over, or (null) the history is. */
  end(endSeconds: number | null): void {
    const { pendingSeconds, firingSeconds } = this;
    if (pendingSeconds === null) return;
    this.intervals.push({ ...this.identity(), pendingSeconds, firingSeconds, endSeconds });
    this.pendingSeconds = null;
    this.firingSeconds = null;
  }

  private identity() {
    return { alert: this.rule.name, severity: this.rule.severity, labels: this.slot.labels };
  }
}
