import type { InfoLabels } from './metrics-page.ts';
import { CELLS_TOTAL } from './page-layout.ts';

/** Rows per chunk of a history that grows: about 8 MB. */
const CHUNK_ROWS = 1024;

export interface MetricsHistoryOptions {
  /** Rows kept; older ones are overwritten. Infinity: all. */
  readonly rowsMax: number;
  /** Time between rows, seconds; for display. */
  readonly intervalSeconds: number;
}

/**
 * The values of all metrics at regular times: what alerts are judged on, what the dashboard draws and what is recorded. Row i
 * holds the cells of a snapshot (see `PLACES` for which cell is what; counters and buckets are running totals, buckets not
 * cumulative, NaN = no sample), oldest first.
 */
export class MetricsHistory {
  readonly intervalSeconds: number;
  /** Labels of `engine_info`, of the last row. */
  info: InfoLabels | null = null;
  private readonly rowsMax: number;
  private readonly chunks: Float64Array[] = [];
  private readonly times: Float64Array[] = [];
  private added = 0;

  constructor(options: MetricsHistoryOptions) {
    this.rowsMax = options.rowsMax;
    this.intervalSeconds = options.intervalSeconds;
  }

  /** Rows held. */
  get length(): number {
    return Math.min(this.added, this.rowsMax);
  }

  /** Copies a row in. `timeSeconds`: since the run began, or since 1970 live; ascending. */
  add(timeSeconds: number, cells: Float64Array): void {
    const at = this.rowsMax === Number.POSITIVE_INFINITY ? this.added : this.added % this.rowsMax;
    const chunk = Math.floor(at / CHUNK_ROWS);
    if (chunk === this.chunks.length) {
      const rows = Math.min(CHUNK_ROWS, this.rowsMax - at);
      this.chunks.push(new Float64Array(rows * CELLS_TOTAL));
      this.times.push(new Float64Array(rows));
    }
    this.chunks[chunk]!.set(cells, (at % CHUNK_ROWS) * CELLS_TOTAL);
    this.times[chunk]![at % CHUNK_ROWS] = timeSeconds;
    this.added++;
  }

  timeSeconds(row: number): number {
    const at = this.place(row);
    return this.times[Math.floor(at / CHUNK_ROWS)]![at % CHUNK_ROWS]!;
  }

  /** Of one cell, see `cellOf` and `PLACES`. */
  value(row: number, cell: number): number {
    const at = this.place(row);
    return this.chunks[Math.floor(at / CHUNK_ROWS)]![(at % CHUNK_ROWS) * CELLS_TOTAL + cell]!;
  }

  /** All cells of a row, as a view that later rows may overwrite. */
  row(row: number): Float64Array {
    const at = this.place(row);
    const from = (at % CHUNK_ROWS) * CELLS_TOTAL;
    return this.chunks[Math.floor(at / CHUNK_ROWS)]!.subarray(from, from + CELLS_TOTAL);
  }

  private place(row: number): number {
    if (!(row >= 0 && row < this.length)) throw new RangeError(`row ${row} is not allowed; there are ${this.length}`);
    const oldest = this.added - this.length;
    return this.rowsMax === Number.POSITIVE_INFINITY ? row : (oldest + row) % this.rowsMax;
  }
}
