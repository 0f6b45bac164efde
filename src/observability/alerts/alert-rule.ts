import type { MetricName } from '../catalogue.ts';
import { PLACES } from '../page-layout.ts';
import type { ScalarExpression, Selection, VectorExpression } from './expression.ts';

export type AlertSeverity = 'critical' | 'warning' | 'info';

/** When somebody is told what, as data. */
export interface AlertRule {
  readonly name: string;
  readonly severity: AlertSeverity;
  /** Each element that it gives is one alert. */
  readonly condition: VectorExpression;
  /** How long it must hold before the alert fires, seconds. */
  readonly forSeconds: number;
  /** Templates of Prometheus; see `alertText` for what they may contain. */
  readonly summary: string;
  readonly description: string;
}

/** The rule with all its thresholds times `factor`; a threshold of 0 stays. */
export function withThreshold(rule: AlertRule, factor: number): AlertRule {
  const scaled = (scalar: ScalarExpression): ScalarExpression =>
    typeof scalar === 'number' ? scalar : { ...scalar, value: scalar.value * factor };
  return { ...rule, condition: mapped(rule.condition, scaled, (seconds) => seconds) };
}

/** The rule with its ranges and its `for` times `factor`, so that a demonstration does not take minutes. Thresholds stay. */
export function withTimeFactor(rule: AlertRule, factor: number): AlertRule {
  const condition = mapped(
    rule.condition,
    (scalar) => scalar,
    (seconds) => seconds * factor,
  );
  return { ...rule, condition, forSeconds: rule.forSeconds * factor };
}

/** Values of the rule's thresholds, in the order in which they are written. */
export function thresholdsOf(rule: AlertRule): readonly number[] {
  const found: number[] = [];
  const collect = (scalar: ScalarExpression): ScalarExpression => {
    if (typeof scalar !== 'number') found.push(scalar.value);
    return scalar;
  };
  mapped(rule.condition, collect, (seconds) => seconds);
  return found;
}

/** Metrics that the rules look at, `up` aside: those that a backfill needs for their verdicts. */
export function metricsOf(rules: readonly AlertRule[]): ReadonlySet<MetricName> {
  const found = new Set<MetricName>();
  for (const rule of rules) {
    for (const { series } of selectionsOf(rule.condition)) {
      const family = PLACES.has(series as MetricName) ? series : series.replace(/_(bucket|sum|count)$/, '');
      if (family !== 'up') found.add(family as MetricName);
    }
  }
  return found;
}

function selectionsOf(expression: VectorExpression | ScalarExpression): readonly Selection[] {
  if (isScalar(expression)) return [];
  if (expression.kind === 'select') return [expression];
  if ('of' in expression) return selectionsOf(expression.of);
  return [...selectionsOf(expression.left), ...selectionsOf(expression.right)];
}

type ScalarMap = (scalar: ScalarExpression) => ScalarExpression;
type SecondsMap = (seconds: number) => number;

function mapped(expression: VectorExpression, scalar: ScalarMap, seconds: SecondsMap): VectorExpression {
  const vector = (of: VectorExpression) => mapped(of, scalar, seconds);
  const either = (of: VectorExpression | ScalarExpression) => (isScalar(of) ? scalar(of) : vector(of));
  switch (expression.kind) {
    case 'select':
    case 'absent':
      return expression;
    case 'rate':
    case 'increase':
    case 'max_over_time':
      return { ...expression, seconds: seconds(expression.seconds) };
    case 'sum':
    case 'quantile':
      return { ...expression, of: vector(expression.of) };
    case 'arithmetic':
      return { ...expression, left: either(expression.left), right: either(expression.right) };
    case 'comparison':
      return { ...expression, left: vector(expression.left), right: either(expression.right) };
    case 'and':
    case 'or':
      return { ...expression, left: vector(expression.left), right: vector(expression.right) };
  }
}

export function isScalar(expression: VectorExpression | ScalarExpression): expression is ScalarExpression {
  return typeof expression === 'number' || expression.kind === 'threshold';
}
