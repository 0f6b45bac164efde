import type { CatalogueEntry, HistogramName, MetricName } from '../catalogue.ts';

/**
 * The part of PromQL that rules and panels need, as data: rendered by `promql`, evaluated in process by `AlertEvaluation`. Names,
 * labels and label values are those of the catalogue; a typing error in one does not compile.
 */
export type VectorExpression =
  | Selection
  | OverRange
  | { readonly kind: 'sum'; readonly by: readonly string[]; readonly of: VectorExpression }
  | { readonly kind: 'quantile'; readonly quantile: number; readonly of: VectorExpression }
  | Arithmetic
  | Comparison
  | SetOperation
  | { readonly kind: 'absent'; readonly of: Selection };

/** A number; a threshold is one that may be tried higher or lower (see `withThreshold`). */
export type ScalarExpression = number | { readonly kind: 'threshold'; readonly value: number };

export interface Selection {
  readonly kind: 'select';
  readonly series: SeriesName;
  /** Label and the values that match; several are an alternation. */
  readonly matchers: readonly (readonly [label: string, values: readonly string[]])[];
}

/** A function of the samples in [now - seconds, now], both ends included, as in Prometheus 2. */
export interface OverRange {
  readonly kind: 'rate' | 'increase' | 'max_over_time';
  readonly of: Selection;
  readonly seconds: number;
}

export interface Arithmetic {
  readonly kind: 'arithmetic';
  readonly operator: '+' | '-' | '*' | '/';
  readonly left: VectorExpression | ScalarExpression;
  readonly right: VectorExpression | ScalarExpression;
}

/** Keeps the elements on the left for which the comparison holds; comparing with NaN never holds, but by `!=`. */
export interface Comparison {
  readonly kind: 'comparison';
  readonly operator: ComparisonOperator;
  readonly left: VectorExpression;
  readonly right: VectorExpression | ScalarExpression;
}
export type ComparisonOperator = '>' | '<' | '>=' | '<=' | '==' | '!=';

export interface SetOperation {
  readonly kind: 'and' | 'or';
  readonly left: VectorExpression;
  readonly right: VectorExpression;
  /** Labels to match on; null: all. */
  readonly on: readonly string[] | null;
}

/** What a scrape has of a metric: `up` is made by the scraper itself. */
export type SeriesName =
  | 'up'
  | Exclude<MetricName, HistogramName>
  | `${HistogramName}_bucket`
  | `${HistogramName}_sum`
  | `${HistogramName}_count`;

type FamilyOf<S extends SeriesName> = S extends MetricName
  ? S
  : S extends `${infer H extends HistogramName}_${'bucket' | 'sum' | 'count'}`
    ? H
    : never;
type EntryOf<S extends SeriesName> = Extract<CatalogueEntry, { readonly name: FamilyOf<S> }>;
type LabelOf<S extends SeriesName> =
  EntryOf<S> extends { readonly labels: readonly (infer L extends { name: string; values: readonly string[] })[] }
    ? L
    : never;
type OneOrMore<T> = T | readonly T[];
type BoundOf<S extends SeriesName> =
  EntryOf<S> extends { readonly buckets: readonly (infer B extends number)[] } ? `${B}` | '+Inf' : never;

type LabelledBy<S extends SeriesName> = {
  readonly [L in LabelOf<S> as L['name']]?: OneOrMore<L['values'][number]>;
} & (S extends `${string}_bucket` ? { readonly le?: OneOrMore<BoundOf<S>> } : unknown);

/** Labels of a series with the values that they may have. */
export type MatchersOf<S extends SeriesName> = keyof LabelledBy<S> extends never
  ? Readonly<Record<string, never>>
  : LabelledBy<S>;

/** Series of a name, those whose labels match. The job is added where it is rendered or evaluated. */
export function select<S extends SeriesName>(series: S, matchers?: MatchersOf<S>): Selection {
  const given = Object.entries((matchers ?? {}) as Readonly<Record<string, OneOrMore<string>>>);
  return {
    kind: 'select',
    series,
    matchers: given.map(([label, values]) => [label, typeof values === 'string' ? [values] : values] as const),
  };
}

/** Growth per second of counters; a fall is a restart from 0. */
export function rate(of: Selection, seconds: number): OverRange {
  return { kind: 'rate', of, seconds };
}

export function increase(of: Selection, seconds: number): OverRange {
  return { kind: 'increase', of, seconds };
}

export function maxOverTime(of: Selection, seconds: number): OverRange {
  return { kind: 'max_over_time', of, seconds };
}

/** One element per instance. */
export function sumByInstance(of: VectorExpression): VectorExpression {
  return { kind: 'sum', by: INSTANCE, of };
}

/** A quantile of a histogram's observations over a range, one element per instance. */
export function quantileOver(quantile: number, histogram: HistogramName, seconds: number): VectorExpression {
  const buckets = rate({ kind: 'select', series: `${histogram}_bucket`, matchers: [] }, seconds);
  return { kind: 'quantile', quantile, of: { kind: 'sum', by: [...INSTANCE, 'le'], of: buckets } };
}

export function plus(left: VectorExpression, right: VectorExpression): Arithmetic {
  return { kind: 'arithmetic', operator: '+', left, right };
}

export function minus(left: VectorExpression | number, right: VectorExpression | number): Arithmetic {
  return { kind: 'arithmetic', operator: '-', left, right };
}

/** Each element times a number. */
export function times(factor: number, of: VectorExpression): Arithmetic {
  return { kind: 'arithmetic', operator: '*', left: factor, right: of };
}

export function ratio(part: VectorExpression, whole: VectorExpression): Arithmetic {
  return { kind: 'arithmetic', operator: '/', left: part, right: whole };
}

export function compare(
  left: VectorExpression,
  operator: ComparisonOperator,
  right: VectorExpression | ScalarExpression,
): Comparison {
  return { kind: 'comparison', operator, left, right };
}

export function threshold(value: number): ScalarExpression {
  return { kind: 'threshold', value };
}

/** Elements on the left for whose instance there is something on the right. */
export function andOnInstance(left: VectorExpression, right: VectorExpression): SetOperation {
  return { kind: 'and', left, right, on: INSTANCE };
}

/** Elements on the left, and those on the right whose labels nothing on the left has. */
export function or(left: VectorExpression, right: VectorExpression): SetOperation {
  return { kind: 'or', left, right, on: null };
}

/** One element while nothing matches. */
export function absent(of: Selection): VectorExpression {
  return { kind: 'absent', of };
}

const INSTANCE = ['job', 'instance'] as const;
