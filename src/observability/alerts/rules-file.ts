import { stringify } from 'yaml';
import { type AlertRule, type AlertSeverity, withTimeFactor } from './alert-rule.ts';
import { DEFAULT_JOB, promql, promqlDuration } from './promql.ts';
import { runbookUrl } from './runbook.ts';

/** Between two evaluations, as between two scrapes: a `for` of 30 s means nothing at the usual minute. */
export const RULES_INTERVAL_SECONDS = 15;

export interface RulesFileOptions {
  /** Name of the groups, before the severity. */
  readonly name: string;
  readonly job?: string;
  /** What the alerts' names are appended to, as anchors. */
  readonly runbookBase?: string;
  readonly intervalSeconds?: number;
  /** Ranges, `for` and interval times this: demonstrations want to be quick. */
  readonly timeFactor?: number;
}

/** Rules as a file of Prometheus, a group for each severity. */
export function rulesFile(rules: readonly AlertRule[], options: RulesFileOptions): string {
  const { name, timeFactor = 1, intervalSeconds = RULES_INTERVAL_SECONDS } = options;
  const severities = [...new Set(rules.map((rule) => rule.severity))];
  const groups = severities.map((severity) => ({
    name: `${name}_${severity}`,
    interval: promqlDuration(intervalSeconds * timeFactor),
    rules: ofSeverity(rules, severity).map((rule) => entry(withTimeFactor(rule, timeFactor), options)),
  }));
  return yaml({ groups });
}

/** All files are written so: no line is folded, so that an expression can be found and copied. */
export function yaml(content: unknown): string {
  return stringify(content, { lineWidth: 0, aliasDuplicateObjects: false });
}

function ofSeverity(rules: readonly AlertRule[], severity: AlertSeverity): readonly AlertRule[] {
  return rules.filter((rule) => rule.severity === severity);
}

function entry(rule: AlertRule, { job = DEFAULT_JOB, runbookBase }: RulesFileOptions) {
  return {
    alert: rule.name,
    expr: promql(rule.condition, job),
    ...(rule.forSeconds > 0 && { for: promqlDuration(rule.forSeconds) }),
    labels: { severity: rule.severity },
    annotations: {
      summary: rule.summary,
      description: rule.description,
      runbook_url: runbookUrl(rule.name, runbookBase),
    },
  };
}
