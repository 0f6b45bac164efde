import { type ActiveAlert, ALERT_STATE, type AlertEvaluationOptions, type AlertTransition } from './alert-history.ts';
import type { AlertRule } from './alert-rule.ts';
import { ALERT_RULES } from './alert-rules.ts';
import { type AlertSlot, AlertStates, slotState } from './alert-states.ts';
import { alertText } from './alert-text.ts';
import { ExpressionEvaluation } from './expression-evaluation.ts';

const SEVERITIES = ['critical', 'warning', 'info'] as const;

/**
 * Judges rules scrape by scrape, with the verdicts of a Prometheus 2.42 that evaluates them whenever it scrapes. Keeps the samples that
 * its rules' ranges need and nothing else.
 */
export class AlertEvaluation {
  private readonly expressions: ExpressionEvaluation;
  private readonly judged: readonly { readonly rule: AlertRule; readonly states: AlertStates }[];

  constructor(rules: readonly AlertRule[] = ALERT_RULES, options: AlertEvaluationOptions = {}) {
    const expressions = new ExpressionEvaluation(options);
    this.expressions = expressions;
    this.judged = rules.map((rule) => ({
      rule,
      states: new AlertStates(expressions.add(rule.condition), rule.forSeconds),
    }));
  }

  /** One scrape: its cells, or null for one that failed. Times ascend. Returns what changed. */
  step(timeSeconds: number, cells: Float64Array | null): readonly AlertTransition[] {
    this.expressions.scrape(timeSeconds, cells);
    const nowMs = Math.round(timeSeconds * 1000);
    const transitions: AlertTransition[] = [];
    for (const { rule, states } of this.judged) {
      states.update(nowMs, (slot, from) => {
        transitions.push({
          ...identity(rule, slot),
          from,
          to: slotState(slot),
          timeSeconds: nowMs / 1000,
          value: slot.value,
          summary: alertText(rule.summary, slot.value, slot.labels),
        });
      });
    }
    return transitions;
  }

  /** Alerts that are pending or firing, the worst first, then in the order of the rules. */
  current(): readonly ActiveAlert[] {
    const active: ActiveAlert[] = [];
    this.visit((rule, slot) => {
      const state = slotState(slot);
      if (state === 'inactive') return;
      active.push({
        ...identity(rule, slot),
        state,
        sinceSeconds: slot.activeMs / 1000,
        firingSinceSeconds: state === 'firing' ? slot.firingMs / 1000 : null,
        value: slot.value,
        summary: alertText(rule.summary, slot.value, slot.labels),
        description: alertText(rule.description, slot.value, slot.labels),
      });
    });
    return active.sort(
      (a, b) =>
        ALERT_STATE[b.state] - ALERT_STATE[a.state] || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity),
    );
  }

  /** Every alert that there may be, active or not. */
  visit(visitor: (rule: AlertRule, slot: AlertSlot) => void): void {
    for (const { rule, states } of this.judged) for (const slot of states.slots) visitor(rule, slot);
  }
}

function identity(rule: AlertRule, slot: AlertSlot) {
  return { alert: rule.name, severity: rule.severity, labels: slot.labels };
}
