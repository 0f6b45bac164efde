import { CATALOGUE, type MetricName, seriesOf } from './catalogue.ts';
import type { MetricDefinition } from './metric-definition.ts';

/** Where a metric's cells lie on a page. */
export interface MetricPlace {
  readonly definition: MetricDefinition & { readonly name: MetricName };
  /** First cell. */
  readonly at: number;
  /** Label values per series. */
  readonly series: readonly (readonly string[])[];
  /** Cells per series: 1, or of a histogram: one per bucket (not cumulative), one for infinity, one for the sum. */
  readonly stride: number;
}

/** Cells that are not exposed themselves: what scraped values are made from. */
export const HIDDEN_CELLS = [
  /** Engine time at which a step last ended, and of the last sample; NaN before. */
  'lastIterationNs',
  'sampledNs',
  /** The same as the gateway sees it, by its own clock, seconds; NaN where there is no gateway. */
  'sinceIterationSeconds',
  /** Steps that ended: the heartbeat. */
  'iterations',
  /** Prompt tokens of sequences first admitted, cached ones included. */
  'promptTokens',
] as const;
export type HiddenCell = (typeof HIDDEN_CELLS)[number];

const places = new Map<MetricName, MetricPlace>();
let cells = HIDDEN_CELLS.length;
for (const definition of CATALOGUE) {
  const series = definition.type === 'info' ? [] : seriesOf(definition);
  const stride = definition.buckets === undefined ? 1 : definition.buckets.length + 2;
  places.set(definition.name, { definition, at: cells, series, stride });
  cells += series.length * stride;
}

/** Cells of a page. */
export const CELLS_TOTAL = cells;
export const PLACES: ReadonlyMap<MetricName, MetricPlace> = places;

/** First cell of the series with these labels. Throws RangeError for labels that the catalogue does not have. */
export function cellOf(name: MetricName, ...labels: readonly string[]): number {
  const { at, series, stride } = PLACES.get(name)!;
  const index = series.findIndex(
    (values) => values.length === labels.length && values.every((value, i) => value === labels[i]),
  );
  if (index < 0) {
    const allowed = series.map((values) => `(${values.join(', ')})`).join(' ');
    throw new RangeError(`${name}: labels (${labels.join(', ')}) are not allowed; allowed: ${allowed}`);
  }
  return at + index * stride;
}
