import type { AlertSeverity } from './alert-rule.ts';

export type AlertLabels = Readonly<Record<string, string>>;

/** What an alert is in, as a number so that a day of them fits an array. */
export const ALERT_STATE = { inactive: 0, pending: 1, firing: 2 } as const;
export type AlertState = keyof typeof ALERT_STATE;

/** From the first evaluation that found an alert's condition to the first one that did not. Times as in the history, seconds. */
export interface AlertInterval {
  readonly alert: string;
  readonly severity: AlertSeverity;
  /** job, instance and those of the condition's element. */
  readonly labels: AlertLabels;
  readonly pendingSeconds: number;
  /** null: it did not hold long enough. */
  readonly firingSeconds: number | null;
  /** null: it holds at the end. */
  readonly endSeconds: number | null;
}

/** One alert with one set of labels, by row of the history. */
export interface AlertSamples {
  readonly alert: string;
  readonly severity: AlertSeverity;
  readonly labels: AlertLabels;
  /** See `ALERT_STATE`. */
  readonly states: Uint8Array;
  /** Value of the condition's element; NaN where there is none. */
  readonly values: Float64Array;
}

export interface AlertHistory {
  /** By alert in the order of the rules, then by time. */
  readonly intervals: readonly AlertInterval[];
  readonly samples: readonly AlertSamples[];
}

/** An alert went from one state to another. */
export interface AlertTransition {
  readonly alert: string;
  readonly severity: AlertSeverity;
  readonly labels: AlertLabels;
  readonly from: AlertState;
  readonly to: AlertState;
  readonly timeSeconds: number;
  /** Of the condition's element; the last one, when it is over. */
  readonly value: number;
  readonly summary: string;
}

/** An alert that is pending or firing now. */
export interface ActiveAlert {
  readonly alert: string;
  readonly severity: AlertSeverity;
  readonly state: 'pending' | 'firing';
  readonly labels: AlertLabels;
  /** Since when the condition holds; times as they were given. */
  readonly sinceSeconds: number;
  readonly firingSinceSeconds: number | null;
  readonly value: number;
  readonly summary: string;
  readonly description: string;
}

/** How the samples got to who judges them. */
export interface AlertEvaluationOptions {
  /** How long the last sample of a series counts, seconds; default 300, as Prometheus'. */
  readonly lookbackSeconds?: number;
  /** A series that a scrape does not have ends at once, as Prometheus marks it; false: it lasts for `lookbackSeconds`, as in a backfill. */
  readonly staleMarkers?: boolean;
  readonly scrapeLabels?: { readonly job: string; readonly instance: string };
}

/** Of a simulated day written to a Prometheus: there are no stale markers, so the look-back is short (`--query.lookback-delta=30s`). */
export const BACKFILLED = { lookbackSeconds: 30, staleMarkers: false } as const satisfies AlertEvaluationOptions;
