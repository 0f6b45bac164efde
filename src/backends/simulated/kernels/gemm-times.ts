import type { ColdGemm, GemmTable, MeasuredPeaks } from '../device-profile.ts';
import type { WeightFormat } from '../model-shape.ts';
import { beyond, gridPlace, tilePlace, valueAt } from './grid.ts';

/**
 * Rows of a tile of fp8 products (CUTLASS): a row more than a multiple costs up to half as much again in the tables. Times of bf16 products (cuBLAS,
 * which chooses among many tiles) step at no multiple.
 */
const FP8_TILE_ROWS = 64;

/** Place of m rows among `ms`, whose points lie around the edges of tiles: by whole tiles in fp8, linear in bf16. */
export function rowPlace(ms: readonly number[], m: number, format: WeightFormat): number {
  return format === 'fp8' ? tilePlace(ms, m, FP8_TILE_ROWS) : gridPlace(ms, m);
}

/**
 * Times of y[m, n] = x[m, k] w[k, n], linear between the points of a measured table (n and k; m: see `rowPlace`), in proportion beyond it, and never
 * faster than the roofline of the measured peaks. fp8 tables contain the kernel that quantises x.
 */
export class GemmTimes {
  private readonly table: GemmTable;
  private readonly peaks: MeasuredPeaks;
  private readonly format: WeightFormat;

  constructor(table: GemmTable, peaks: MeasuredPeaks, format: WeightFormat) {
    this.table = table;
    this.peaks = peaks;
    this.format = format;
  }

  /** Whether a shape lies outside of the table. */
  extrapolates(n: number, k: number): boolean {
    return beyond(this.table.ns, n) > 1 || beyond(this.table.ks, k) > 1;
  }

  /** Time of one product, ns. */
  timeNs(m: number, n: number, k: number): number {
    return this.at(m, this.table.ms, this.column(n, k), n, k);
  }

  /**
   * Times of m = 0 .. rowsMax (0 at 0), ns, as an engine meets them: weights are not in the cache, and no product takes more than one of more rows.
   * Tables have single points that are up to 20 % slower than both neighbours (an unlucky choice of the library, another clock), at other m
   * in every version. `cold`: null where the table is of cold weights already.
   */
  byRows(n: number, k: number, rowsMax: number, cold: ColdGemm | null): Float64Array {
    const measured = cold?.shapes.find((shape) => shape.n === n && shape.k === k);
    const column = measured === undefined ? this.column(n, k) : Float64Array.from(measured.timesNs);
    const ms = measured?.ms ?? this.table.ms;
    const factor = measured === undefined && cold !== null ? cold.factor : 1;
    for (let l = column.length - 2; l >= 0; l--) column[l] = Math.min(column[l]!, column[l + 1]!);
    const times = new Float64Array(rowsMax + 1);
    for (let m = 1; m <= rowsMax; m++) times[m] = this.at(m, ms, column, n, k, factor);
    return times;
  }

  private at(m: number, ms: readonly number[], column: Float64Array, n: number, k: number, factor = 1): number {
    const ns = valueAt(column, rowPlace(ms, m, this.format)) * beyond(ms, m) * factor;
    return Math.max(ns, gemmFloorNs(this.peaks, this.format, m, n, k));
  }

  /** Times at every m of the table. */
  private column(n: number, k: number): Float64Array {
    const { ms, ns, ks, timesNs } = this.table;
    const i = gridPlace(ns, n);
    const j = gridPlace(ks, k);
    const rowStride = ks.length * ms.length;
    const low = Math.floor(i);
    const share = i - low;
    const factor = beyond(ns, n) * beyond(ks, k);
    const column = new Float64Array(ms.length);
    for (let l = 0; l < ms.length; l++) {
      const a = valueAt(timesNs, j, low * rowStride + l, ms.length);
      const b = share === 0 ? a : valueAt(timesNs, j, (low + 1) * rowStride + l, ms.length);
      column[l] = (a + share * (b - a)) * factor;
    }
    return column;
  }
}

/** Roofline (Williams et al., CACM 2009) of a product: the longer of 2 m n k operations and of reading the weights, once. */
export function gemmFloorNs(peaks: MeasuredPeaks, format: WeightFormat, m: number, n: number, k: number): number {
  const rate = format === 'fp8' ? peaks.fp8FlopsPerSecond : peaks.bf16FlopsPerSecond;
  const compute = (2 * m * n * k) / rate;
  const traffic = (n * k * (format === 'fp8' ? 1 : 2)) / peaks.hbmBytesPerSecond;
  return Math.max(compute, traffic) * 1e9;
}
