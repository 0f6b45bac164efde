import type { HistogramName, MetricName } from './catalogue.ts';
import type { MetricsPage } from './metrics-page.ts';
import { CELLS_TOTAL, HIDDEN_CELLS, type HiddenCell, PLACES } from './page-layout.ts';

/** All values of a page at one moment, those that follow from others included. */
export class MetricsSnapshot {
  readonly cells = new Float64Array(CELLS_TOTAL);

  /** Reads the page; everything before is overwritten. */
  take(page: MetricsPage): void {
    page.read(this.cells);
    const total = this.value('kv_cache_blocks_total');
    const used = this.value('kv_cache_blocks_used');
    this.put('kv_cache_blocks_free', total - used - this.value('kv_cache_blocks_cached'));
    this.put('kv_cache_utilization_ratio', total > 0 ? used / total : Number.NaN);
    const seen = this.hidden('sinceIterationSeconds');
    const engine = (this.hidden('sampledNs') - this.hidden('lastIterationNs')) / 1e9;
    this.put('scheduler_seconds_since_last_iteration', Number.isNaN(seen) ? Math.max(0, engine) : seen);
    const active = this.value('gateway_requests_received_total') - this.sum('gateway_requests_total');
    this.put('gateway_active_requests', Math.max(0, active));
  }

  /** Of a counter or gauge without labels, or of its series `series`; NaN = absent. */
  value(name: Exclude<MetricName, HistogramName>, series = 0): number {
    return this.cells[PLACES.get(name)!.at + series]!;
  }

  /** Over all series of a counter. */
  sum(name: Exclude<MetricName, HistogramName>): number {
    const { at, series } = PLACES.get(name)!;
    let sum = 0;
    for (let i = 0; i < series.length; i++) sum += this.cells[at + i]!;
    return sum;
  }

  /** Observations of a histogram, over all series. */
  count(name: HistogramName): number {
    const { at, series, stride } = PLACES.get(name)!;
    let count = 0;
    for (let i = 0; i < series.length; i++) {
      for (let bucket = 0; bucket < stride - 1; bucket++) count += this.cells[at + i * stride + bucket]!;
    }
    return count;
  }

  hidden(name: HiddenCell): number {
    return this.cells[HIDDEN_CELLS.indexOf(name)]!;
  }

  private put(name: Exclude<MetricName, HistogramName>, value: number): void {
    this.cells[PLACES.get(name)!.at] = value;
  }
}
