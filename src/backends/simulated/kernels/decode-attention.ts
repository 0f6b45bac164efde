import type { GenerationAttentionTable, MeasuredPeaks } from '../device-profile.ts';
import { closestTable } from './attention-tables.ts';
import { beyond, gridPlace, valueAt } from './grid.ts';

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly kvElementBytes: 1 | 2;
}

/** Points with more KV than this, bytes, cannot have been served from the L2 cache (50 MB on an H100) of the benchmark. */
const COLD_BYTES = 150e6;
/** The first loads run while the launch floor passes: 0.6 to 1.5 us of them (bench/gpu, decode attention with other KV every time). */
const LOADS_HIDDEN_NS = 1000;

/**
 * Attention of one new token per sequence, by rows and total context, linear between measured points. A layer of other head counts than
 * the tables have is read as more or fewer rows of the closest one: KV bytes are the same. Benchmarks repeat one layer, whose KV stays in the L2
 * cache when it is small; in a model every layer's KV comes from memory. So no time is below the launch floor plus the bytes at the
 * bandwidth of the table's large points.
 */
export class DecodeAttentionTimes {
  /** A table of this very layer exists. */
  readonly exact: boolean;
  private readonly contexts: readonly number[];
  /** byRow[row * contexts.length + i]. */
  private readonly byRow: Float64Array;
  private readonly rowsMax: number;
  /** Reading all KV at the measured peak, per token of context. */
  readonly nsPerTokenMin: number;
  /** Times beyond the last context grow by this per token. */
  private readonly nsPerToken: number;
  /** Of one row with no context. */
  readonly floorNs: number;

  constructor(
    tables: readonly GenerationAttentionTable[],
    shape: AttentionShape,
    peaks: MeasuredPeaks,
    rowsMax: number,
  ) {
    const table = closestTable(tables, shape);
    const share = shape.kvHeads / table.kvHeads;
    this.exact = share === 1 && table.heads === shape.heads && table.headDim === shape.headDim;
    this.contexts = table.contexts;
    this.rowsMax = rowsMax;
    // An fp8 cache halves the bytes; the kernel's launch stays.
    const bytesPerToken = 2 * shape.kvHeads * shape.headDim * shape.kvElementBytes;
    const width = table.contexts.length;
    const filled = fillHoles(table);
    const coldBytesPerSecond = coldRate(table, filled);
    this.byRow = new Float64Array((rowsMax + 1) * width);
    for (let row = 1; row <= rowsMax; row++) {
      const rows = row * share * (table.headDim === shape.headDim ? 1 : shape.headDim / table.headDim);
      const floor = tableNs(table, filled, rows, 0);
      for (let i = 0; i < width; i++) {
        const measured = floor + (tableNs(table, filled, rows, i) - floor) * (shape.kvElementBytes / 2);
        const bytes = row * table.contexts[i]! * bytesPerToken;
        const read = (bytes * 1e9) / coldBytesPerSecond - LOADS_HIDDEN_NS;
        const cold = bytes < COLD_BYTES && read > 0 ? floor + read : 0;
        this.byRow[row * width + i] = Math.max(measured, cold, (bytes * 1e9) / peaks.hbmBytesPerSecond);
      }
    }
    this.nsPerTokenMin = (bytesPerToken * 1e9) / peaks.hbmBytesPerSecond;
    this.nsPerToken = Math.max(this.nsPerTokenMin, (bytesPerToken * 1e9) / coldBytesPerSecond);
    this.floorNs = rowsMax > 0 ? this.byRow[width]! : 0;
  }

  /** Time of `rows` rows with `contextTokens` of context in all, their own new tokens included, ns. */
  timeNs(rows: number, contextTokens: number): number {
    if (rows === 0) return 0;
    const { contexts } = this;
    const row = rows <= this.rowsMax ? rows : this.rowsMax;
    const mean = contextTokens / rows;
    const place = gridPlace(contexts, mean);
    const over = mean - contexts[contexts.length - 1]!;
    const ns = valueAt(this.byRow, place, row * contexts.length) + (over > 0 ? over * row * this.nsPerToken : 0);
    return row === rows ? ns : (ns * rows) / row;
  }
}

/** Measured time, of a share of a row too: the part above the floor shrinks with it. */
function tableNs(table: GenerationAttentionTable, filled: Float64Array, rows: number, context: number): number {
  const { batches, contexts } = table;
  const first = filled[context]!;
  if (rows < batches[0]!) return filled[0]! + (first - filled[0]!) * (rows / batches[0]!);
  return valueAt(filled, gridPlace(batches, rows), context, contexts.length) * beyond(batches, rows);
}

/** Points that were too large to measure grow in proportion to the batch. */
function fillHoles({ batches, contexts, timesNs }: GenerationAttentionTable): Float64Array {
  const filled = Float64Array.from(timesNs);
  for (let i = 1; i < batches.length; i++) {
    for (let j = 0; j < contexts.length; j++) {
      const at = i * contexts.length + j;
      if (filled[at] === 0) filled[at] = (filled[at - contexts.length]! * batches[i]!) / batches[i - 1]!;
    }
  }
  return filled;
}

/** Bandwidth, bytes/s, of what large points take beyond the same batch without context: the median. */
function coldRate(table: GenerationAttentionTable, filled: Float64Array): number {
  const { batches, contexts, timesNs } = table;
  const perToken = 2 * table.kvHeads * table.headDim * 2;
  const rates: number[] = [];
  for (let i = 0; i < batches.length; i++) {
    for (let j = 1; j < contexts.length; j++) {
      const bytes = batches[i]! * contexts[j]! * perToken;
      const ns = timesNs[i * contexts.length + j]! - filled[i * contexts.length]!;
      if (bytes > COLD_BYTES && ns > 0) rates.push((bytes * 1e9) / ns);
    }
  }
  rates.sort((a, b) => a - b);
  return rates.length === 0 ? Number.POSITIVE_INFINITY : rates[rates.length >> 1]!;
}
