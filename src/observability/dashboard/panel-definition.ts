import type { MetricName } from '../catalogue.ts';
import type { MetricPanel, MetricThreshold } from '../metric-definition.ts';
import { PLACES } from '../page-layout.ts';
import { metricsOf, type PanelExpression } from './panel-expression.ts';

export type PanelRow = MetricPanel['row'];

/** How numbers are written. */
export type PanelUnit = 'seconds' | 'ratio' | 'percent' | 'count' | 'tokens/s' | 'requests/s' | 'per minute' | 'state';

/** Name of a colour of the page; what means the same has the same one everywhere. */
export type PanelColour = 'blue' | 'teal' | 'amber' | 'violet' | 'rose' | 'slate' | 'green' | 'cyan';

export interface PanelSeries {
  readonly label: string;
  readonly colour: PanelColour;
  readonly expression: PanelExpression;
  /** A line that is set back beside another of the same colour. */
  readonly dashed?: boolean;
  /** One of a line per value of this label: a query asks for all of them at once. */
  readonly each?: 'gpu_id';
}

/** A value to keep to, drawn as a line or judging a tile. */
export interface PanelThreshold {
  readonly kind: MetricThreshold['kind'];
  readonly comparison: MetricThreshold['comparison'];
  readonly value: number;
}

/** One chart. */
export interface PanelDefinition {
  /** Of the element on the page, and of the query in Grafana. */
  readonly id: string;
  readonly row: PanelRow;
  readonly title: string;
  readonly kind: 'lines' | 'stacked' | 'heatmap' | 'gauge';
  readonly unit: PanelUnit;
  /** Window of what is over time, live. A point of a recording that stands for more time has that as its window. */
  readonly windowSeconds: number;
  /** What it shows and how to read it, in a sentence or two. */
  readonly help: string;
  readonly series: readonly PanelSeries[];
  readonly thresholds: readonly PanelThreshold[];
  /** Top of the axis where it is known; else what the values need. */
  readonly top?: number;
  /** Only where a server runs: a simulated run has no gateway. */
  readonly liveOnly?: boolean;
}

/** One figure. */
export interface TileDefinition {
  readonly id: string;
  readonly title: string;
  readonly unit: PanelUnit;
  readonly windowSeconds: number;
  readonly help: string;
  readonly expression: PanelExpression;
  readonly thresholds: readonly PanelThreshold[];
}

/** Thresholds of a metric as the catalogue has them, or those of them that are of `of`. */
export function thresholdsOf(metric: MetricName, of: MetricThreshold['of']): readonly PanelThreshold[] {
  return (PLACES.get(metric)!.definition.thresholds ?? [])
    .filter((threshold) => threshold.of === of)
    .map(({ kind, comparison, value }) => ({ kind, comparison, value }));
}

/** Metrics that a panel reads, each once. */
export function panelMetrics(panel: Pick<PanelDefinition, 'series'>): readonly MetricName[] {
  return [...new Set(panel.series.flatMap(({ expression }) => metricsOf(expression)))];
}
