import type { MetricsPage } from '../metrics-page.ts';
import { DROP_REASONS, type DropReason, KEEP_REASONS, type KeepReason } from './keep-rules.ts';

/** The series of tracing. All calls come from the gateway's thread. */
export class TraceMetrics {
  private readonly cells: Float64Array;
  private readonly keptCells: ReadonlyMap<KeepReason, number>;
  private readonly droppedCells: ReadonlyMap<DropReason, number>;
  private readonly exportedCell: number;

  constructor(page: MetricsPage) {
    this.cells = page.cells;
    this.keptCells = new Map(KEEP_REASONS.map((reason) => [reason, page.cell('tracing_traces_kept_total', reason)]));
    this.droppedCells = new Map(
      DROP_REASONS.map((reason) => [reason, page.cell('tracing_spans_dropped_total', reason)]),
    );
    this.exportedCell = page.cell('tracing_spans_exported_total');
  }

  kept(reason: KeepReason): void {
    this.cells[this.keptCells.get(reason)!]!++;
  }

  exported(spans: number): void {
    this.cells[this.exportedCell]! += spans;
  }

  dropped(reason: DropReason, spans: number): void {
    this.cells[this.droppedCells.get(reason)!]! += spans;
  }
}
