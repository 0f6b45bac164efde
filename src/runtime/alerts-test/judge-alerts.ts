import {
  type AlertHistory,
  type AlertRule,
  BACKFILLED,
  evaluateAlerts,
  thresholdsOf,
  withThreshold,
} from '../../observability/alerts/index.ts';
import type { MetricsHistory } from '../../observability/index.ts';
import type { Violation } from './alert-truth.ts';

/** What an alert said, beside what was so. */
export interface AlertQuality {
  readonly firings: number;
  readonly firingSeconds: number;
  /** Share of the firings during which a violation was going on; null: it never fired. */
  readonly precision: number | null;
  /** Share of the violations during which it fired; null: there were none. */
  readonly recall: number | null;
  /** From the beginning of a violation until it fired, of each that was noticed. Contains the time that the rule waits. */
  readonly delaysSeconds: readonly number[];
}

export interface AlertJudgement {
  readonly alert: string;
  readonly thresholds: readonly number[];
  readonly violations: readonly Violation[];
  readonly quality: AlertQuality;
  /** The same with all thresholds of the rule lower or higher, against the same violations; null for rules without any. */
  readonly lower: AlertQuality | null;
  readonly higher: AlertQuality | null;
}

/** How far thresholds are tried. */
const THRESHOLD_FACTORS = { lower: 0.9, higher: 1.1 } as const;

/** Judges each rule by the violations of it that there were. `violations`: null for rules about which nothing is known. */
export function judgeAlerts(
  history: MetricsHistory,
  rules: readonly AlertRule[],
  verdict: AlertHistory,
  violations: (rule: AlertRule) => Violation[] | null,
): AlertJudgement[] {
  const at = (factor: number) =>
    evaluateAlerts(
      history,
      rules.map((rule) => withThreshold(rule, factor)),
      BACKFILLED,
    );
  const lower = at(THRESHOLD_FACTORS.lower);
  const higher = at(THRESHOLD_FACTORS.higher);
  const endSeconds = history.timeSeconds(history.length - 1) + history.intervalSeconds;
  return rules.flatMap((rule) => {
    const known = violations(rule);
    if (known === null) return [];
    const thresholds = thresholdsOf(rule);
    const quality = (from: AlertHistory) => qualityOf(rule.name, from, known, endSeconds);
    return {
      alert: rule.name,
      thresholds,
      violations: known,
      quality: quality(verdict),
      lower: thresholds.length === 0 ? null : quality(lower),
      higher: thresholds.length === 0 ? null : quality(higher),
    };
  });
}

function qualityOf(
  alert: string,
  { intervals }: AlertHistory,
  violations: readonly Violation[],
  endSeconds: number,
): AlertQuality {
  const firings = intervals.flatMap((one) =>
    one.alert === alert && one.firingSeconds !== null
      ? { fromSeconds: one.firingSeconds, toSeconds: one.endSeconds ?? endSeconds }
      : [],
  );
  const right = firings.filter((firing) => violations.some((violation) => overlap(firing, violation)));
  const noticed = violations.flatMap((violation) => firings.find((firing) => overlap(firing, violation)) ?? []);
  const delaysSeconds = violations.flatMap((violation) => {
    const first = firings.find((firing) => overlap(firing, violation));
    return first === undefined ? [] : Math.max(0, first.fromSeconds - violation.fromSeconds);
  });
  return {
    firings: firings.length,
    firingSeconds: firings.reduce((sum, { fromSeconds, toSeconds }) => sum + toSeconds - fromSeconds, 0),
    precision: firings.length === 0 ? null : right.length / firings.length,
    recall: violations.length === 0 ? null : noticed.length / violations.length,
    delaysSeconds,
  };
}

/** Ends touch: what fires at the last moment of a violation has noticed it. */
function overlap(a: Violation, b: Violation): boolean {
  return a.fromSeconds <= b.toSeconds && b.fromSeconds <= a.toSeconds;
}
