import type { AlertEvaluationOptions, AlertLabels } from './alert-history.ts';
import { isScalar } from './alert-rule.ts';
import type { ScalarExpression, Selection, SeriesName, VectorExpression } from './expression.ts';
import { promql } from './promql.ts';
import { ScrapedSeries, seriesSources } from './scraped-series.ts';
import {
  absentNode,
  arithmeticNode,
  comparisonNode,
  labelsKey,
  quantileNode,
  rangeNode,
  selectNode,
  setNode,
  sumNode,
  type VectorNode,
} from './vector-node.ts';

const LOOKBACK_SECONDS = 300;
/** What a scraper calls an engine, where nobody says otherwise. */
export const SCRAPE_LABELS = { job: 'engine', instance: 'twinfer' } as const;

/**
 * Evaluates expressions at each of a sequence of scrapes, with the results that Prometheus 2.42 would have at those times. What
 * several expressions have in common is evaluated once; a scrape costs the same however long the ranges are.
 */
export class ExpressionEvaluation {
  private readonly lookbackMs: number;
  private readonly staleMarkers: boolean;
  private readonly scrapeLabels: { readonly job: string; readonly instance: string };
  private readonly series = new Map<SeriesName, readonly ScrapedSeries[]>();
  /** By PromQL; operands come before what uses them. */
  private readonly nodes = new Map<string, VectorNode>();

  constructor(options: AlertEvaluationOptions = {}) {
    this.lookbackMs = Math.round((options.lookbackSeconds ?? LOOKBACK_SECONDS) * 1000);
    this.staleMarkers = options.staleMarkers ?? true;
    this.scrapeLabels = options.scrapeLabels ?? SCRAPE_LABELS;
  }

  /** Its value after each `scrape`. All expressions are added before the first one. */
  add(expression: VectorExpression): VectorNode {
    const key = promql(expression, this.scrapeLabels.job);
    let node = this.nodes.get(key);
    if (node === undefined) {
      node = this.compile(expression);
      this.nodes.set(key, node);
    }
    return node;
  }

  /** A scrape's cells, or null for one that failed. Times ascend; Prometheus keeps milliseconds. */
  scrape(timeSeconds: number, cells: Float64Array | null): void {
    const nowMs = Math.round(timeSeconds * 1000);
    for (const all of this.series.values()) for (const series of all) series.scrape(nowMs, cells);
    for (const node of this.nodes.values()) node.evaluate(nowMs);
  }

  private compile(expression: VectorExpression): VectorNode {
    switch (expression.kind) {
      case 'select':
        return selectNode(this.selected(expression));
      case 'rate':
      case 'increase':
      case 'max_over_time':
        return rangeNode(expression.kind, this.selected(expression.of), Math.round(expression.seconds * 1000));
      case 'sum':
        return sumNode(this.add(expression.of), expression.by);
      case 'quantile':
        return quantileNode(expression.quantile, this.add(expression.of));
      case 'absent':
        return absentNode(this.add(expression.of), this.absentLabels(expression.of));
      case 'arithmetic':
        return arithmeticNode(expression.operator, this.operand(expression.left), this.operand(expression.right));
      case 'comparison':
        return comparisonNode(expression.operator, this.add(expression.left), this.operand(expression.right));
      case 'and':
      case 'or':
        return setNode(expression.kind, this.add(expression.left), this.add(expression.right), expression.on);
    }
  }

  private operand(of: VectorExpression | ScalarExpression): VectorNode | number {
    if (!isScalar(of)) return this.add(of);
    return typeof of === 'number' ? of : of.value;
  }

  private selected({ series: name, matchers }: Selection): readonly ScrapedSeries[] {
    let all = this.series.get(name);
    if (all === undefined) {
      // In the order in which Prometheus reads a block, so that sums come out the same to the last bit.
      all = [...seriesSources(name, this.scrapeLabels)]
        .sort((a, b) => (labelsKey(a.labels) < labelsKey(b.labels) ? -1 : 1))
        .map((source) => new ScrapedSeries(source, this.lookbackMs, this.staleMarkers));
      this.series.set(name, all);
    }
    return all.filter((series) => matchers.every(([label, values]) => values.includes(series.labels[label] ?? '')));
  }

  /** `absent()` has the labels that the selector names with one value. */
  private absentLabels({ matchers }: Selection): AlertLabels {
    const single = matchers.filter(([, values]) => values.length === 1).map(([label, [value]]) => [label, value!]);
    return { job: this.scrapeLabels.job, ...Object.fromEntries(single) };
  }
}
