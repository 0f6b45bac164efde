import { EXECUTION_METRICS } from './catalogue-execution.ts';
import { GATEWAY_METRICS } from './catalogue-gateway.ts';
import { GPU_METRICS, MEMORY_METRICS } from './catalogue-memory.ts';
import { PROCESS_METRICS } from './catalogue-process.ts';
import { SCHEDULER_METRICS } from './catalogue-scheduler.ts';
import { TRACING_METRICS } from './catalogue-tracing.ts';
import type { MetricDefinition } from './metric-definition.ts';

const ALL = [
  ...SCHEDULER_METRICS,
  ...MEMORY_METRICS,
  ...EXECUTION_METRICS,
  ...GPU_METRICS,
  ...GATEWAY_METRICS,
  ...PROCESS_METRICS,
  ...TRACING_METRICS,
] as const;

/** An entry with its literal types, for those who want names and label values checked by the compiler. */
export type CatalogueEntry = (typeof ALL)[number];
export type MetricName = (typeof ALL)[number]['name'];
export type HistogramName = Extract<(typeof ALL)[number], { readonly type: 'histogram' }>['name'];

/** The one list of all metrics, in the order in which they are exposed and documented. */
export const CATALOGUE: readonly (MetricDefinition & { readonly name: MetricName })[] = ALL;

/** Label values of each series of a metric, the last label varying fastest; one empty list without labels. */
export function seriesOf(definition: MetricDefinition): readonly (readonly string[])[] {
  let series: string[][] = [[]];
  for (const label of definition.labels ?? []) {
    series = series.flatMap((values) => label.values.map((value) => [...values, value]));
  }
  return series;
}
