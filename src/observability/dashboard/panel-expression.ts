import type { HistogramName, MetricName } from '../catalogue.ts';
import { PLACES } from '../page-layout.ts';

/** Series of a metric that are added up: all of it, or those whose labels have one of the given values. */
export interface Selection {
  readonly metric: MetricName;
  readonly where?: Readonly<Record<string, readonly string[]>>;
}

/**
 * What a line of a panel or a tile shows, as data: it is computed from a history (`evaluate`) and written as a query for
 * Prometheus (`promQl`). Everything over time has a window; NaN = nothing to say.
 */
export type PanelExpression =
  | {
      readonly kind: 'gauge';
      readonly of: Selection;
      readonly aggregate?: 'sum' | 'mean' | 'min';
      readonly scale?: number;
    }
  /** Gauge over gauge. */
  | { readonly kind: 'share'; readonly of: Selection; readonly to: Selection }
  | { readonly kind: 'rate'; readonly of: readonly Selection[]; readonly per: 'second' | 'minute' }
  /** Growth over growth. */
  | { readonly kind: 'ratio'; readonly of: readonly Selection[]; readonly to: readonly Selection[] }
  | { readonly kind: 'quantile'; readonly quantile: number; readonly of: HistogramName }
  | { readonly kind: 'mean'; readonly of: HistogramName }
  /** How much `from` lies above `less`, at least 0. */
  | { readonly kind: 'above'; readonly from: PanelExpression; readonly less: PanelExpression }
  /** The first that has something to say. */
  | { readonly kind: 'first'; readonly of: readonly PanelExpression[] }
  /** 1: no GPU has failed and requests get on, 0: not so. */
  | { readonly kind: 'up'; readonly stalledSecondsMax: number };

/** Cells of a selection, in the order of the catalogue. */
export function cellsOf({ metric, where }: Selection): readonly number[] {
  const { definition, at, series, stride } = PLACES.get(metric)!;
  const labels = definition.labels ?? [];
  return series.flatMap((values, index) => {
    const fits = labels.every(({ name }, i) => where?.[name]?.includes(values[i]!) ?? true);
    return fits ? [at + index * stride] : [];
  });
}

/** Metrics that an expression reads, each once. */
export function metricsOf(expression: PanelExpression): readonly MetricName[] {
  const names = (selections: readonly Selection[]) => selections.map(({ metric }) => metric);
  const all = ((): readonly MetricName[] => {
    switch (expression.kind) {
      case 'gauge':
        return [expression.of.metric];
      case 'share':
        return [expression.of.metric, expression.to.metric];
      case 'rate':
        return names(expression.of);
      case 'ratio':
        return [...names(expression.of), ...names(expression.to)];
      case 'quantile':
      case 'mean':
        return [expression.of];
      case 'above':
        return [...metricsOf(expression.from), ...metricsOf(expression.less)];
      case 'first':
        return expression.of.flatMap(metricsOf);
      case 'up':
        return ['gpu_health_status', 'engine_stalled_seconds'];
    }
  })();
  return [...new Set(all)];
}
