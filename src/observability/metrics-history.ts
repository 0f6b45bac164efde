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
  private readonly ups: Uint8Array[] = [];
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
    const { chunk, at } = this.append(timeSeconds, true);
    this.chunks[chunk]!.set(cells, at * CELLS_TOTAL);
  }

  /** A scrape that failed: `up` is 0 and no series has a sample. */
  addDown(timeSeconds: number): void {
    const { chunk, at } = this.append(timeSeconds, false);
    this.chunks[chunk]!.fill(Number.NaN, at * CELLS_TOTAL, (at + 1) * CELLS_TOTAL);
  }

  timeSeconds(row: number): number {
    const at = this.place(row);
    return this.times[Math.floor(at / CHUNK_ROWS)]![at % CHUNK_ROWS]!;
  }

  /** Whether the scrape of this row worked. */
  up(row: number): boolean {
    const at = this.place(row);
    return this.ups[Math.floor(at / CHUNK_ROWS)]![at % CHUNK_ROWS] === 1;
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

  private append(timeSeconds: number, up: boolean): { readonly chunk: number; readonly at: number } {
    const place = this.rowsMax === Number.POSITIVE_INFINITY ? this.added : this.added % this.rowsMax;
    const chunk = Math.floor(place / CHUNK_ROWS);
    if (chunk === this.chunks.length) {
      const rows = Math.min(CHUNK_ROWS, this.rowsMax - place);
      this.chunks.push(new Float64Array(rows * CELLS_TOTAL));
      this.times.push(new Float64Array(rows));
      this.ups.push(new Uint8Array(rows));
    }
    const at = place % CHUNK_ROWS;
    this.times[chunk]![at] = timeSeconds;
    this.ups[chunk]![at] = up ? 1 : 0;
    this.added++;
    return { chunk, at };
  }

  private place(row: number): number {
    if (!(row >= 0 && row < this.length)) throw new RangeError(`row ${row} is not allowed; there are ${this.length}`);
    const oldest = this.added - this.length;
    return this.rowsMax === Number.POSITIVE_INFINITY ? row : (oldest + row) % this.rowsMax;
  }
}
