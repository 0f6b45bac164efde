import { isScalar } from './alert-rule.ts';
import type { ScalarExpression, Selection, VectorExpression } from './expression.ts';

/** Job under which rules look for engines unless told otherwise; needed, since other engines use some of our names. */
export const DEFAULT_JOB = 'engine';

/** The expression in Prometheus' language; every selector asks for `job`. */
export function promql(expression: VectorExpression, job: string = DEFAULT_JOB): string {
  const text = (of: VectorExpression | ScalarExpression): string => {
    if (isScalar(of)) return String(typeof of === 'number' ? of : of.value);
    switch (of.kind) {
      case 'select':
        return selector(of, job);
      case 'rate':
      case 'increase':
      case 'max_over_time':
        return `${of.kind}(${selector(of.of, job)}[${promqlDuration(of.seconds)}])`;
      case 'sum':
        return `sum by (${of.by.join(', ')}) (${text(of.of)})`;
      case 'quantile':
        return `histogram_quantile(${of.quantile}, ${text(of.of)})`;
      case 'absent':
        return `absent(${selector(of.of, job)})`;
      case 'arithmetic':
      case 'comparison':
        return binary(of, of.operator, text);
      case 'and':
      case 'or':
        return binary(of, of.on === null ? of.kind : `${of.kind} on (${of.on.join(', ')})`, text);
    }
  };
  return text(expression);
}

/** As Prometheus writes it: 300 is `5m`, 90 is `1m30s`, 0.5 is `500ms`. */
export function promqlDuration(seconds: number): string {
  let ms = Math.round(seconds * 1000);
  if (ms === 0) return '0s';
  let text = '';
  for (const [unit, unitMs] of UNITS) {
    const count = Math.floor(ms / unitMs);
    if (count === 0) continue;
    text += `${count}${unit}`;
    ms -= count * unitMs;
  }
  return text;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

function selector({ series, matchers }: Selection, job: string): string {
  const all = [['job', [job]] as const, ...matchers].map(([label, values]) =>
    values.length === 1
      ? `${label}=${quoted(values[0]!)}`
      : `${label}=~${quoted(values.map((value) => value.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&')).join('|'))}`,
  );
  return `${series}{${all.join(', ')}}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

type Binary = Extract<VectorExpression, { readonly left: unknown }>;

const OR = 1;
const AND = 2;
const COMPARISON = 3;

/** How tightly an operator binds; all of them group from the left. */
function binding(expression: VectorExpression | ScalarExpression): number {
  if (isScalar(expression)) return 9;
  switch (expression.kind) {
    case 'or':
      return OR;
    case 'and':
      return AND;
    case 'comparison':
      return COMPARISON;
    case 'arithmetic':
      return expression.operator === '+' || expression.operator === '-' ? 4 : 5;
    default:
      return 9;
  }
}

/** With the parentheses that are needed, and those that a reader wants: none needs to know how `and`, `or` and comparisons bind. */
function binary(
  expression: Binary,
  operator: string,
  text: (of: VectorExpression | ScalarExpression) => string,
): string {
  const own = binding(expression);
  const operand = (of: VectorExpression | ScalarExpression, bindsAtLeast: number) => {
    const mixed = own === OR && binding(of) === AND;
    return binding(of) < bindsAtLeast || mixed ? `(${text(of)})` : text(of);
  };
  const right = own === AND ? COMPARISON + 1 : own + 1;
  return `${operand(expression.left, own)} ${operator} ${operand(expression.right, right)}`;
}
