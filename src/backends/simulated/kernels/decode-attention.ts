import type { GenerationAttentionTable, MeasuredPeaks } from '../device-profile.ts';
import { closestTable } from './attention-tables.ts';

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly kvElementBytes: 1 | 2;
}

/** Points with more KV than this, bytes, cannot have been served from the L2 cache (50 MB on an H100) of the benchmark. */
const COLD_BYTES = 150e6;

/**
 * Attention of one new token per sequence: the launch of the closest measured table and its KV bytes at the bandwidth of the table's large
 * points. Not the table itself: its benchmark repeats one layer, whose KV stays in the L2 cache below 50 MB (measured: 9.5 us in place of
 * 15.4 for 34 MB), and between 60 and 300 MB it steps by up to 40 % with the benchmark's split of the work. Kernels over KV that is new every
 * time follow the line (`bench/gpu`, decode attention: 15, 29, 52, 196 us for 34, 67, 134, 537 MB), and so do measured servers.
 */
export class DecodeAttentionTimes {
  /** A table of this very layer exists. */
  readonly exact: boolean;
  /** Of one row with no context. */
  readonly floorNs: number;
  /** Reading all KV at the measured peak, per token of context. */
  readonly nsPerTokenMin: number;
  private readonly nsPerToken: number;

  constructor(tables: readonly GenerationAttentionTable[], shape: AttentionShape, peaks: MeasuredPeaks) {
    const table = closestTable(tables, shape);
    this.exact = table.heads === shape.heads && table.kvHeads === shape.kvHeads && table.headDim === shape.headDim;
    const bytesPerToken = 2 * shape.kvHeads * shape.headDim * shape.kvElementBytes;
    this.floorNs = table.timesNs[0]!;
    this.nsPerTokenMin = (bytesPerToken * 1e9) / peaks.hbmBytesPerSecond;
    this.nsPerToken = Math.max(this.nsPerTokenMin, (bytesPerToken * 1e9) / coldRate(table));
  }

  /** Time of `rows` rows with `contextTokens` of context in all, their own new tokens included, ns. */
  timeNs(rows: number, contextTokens: number): number {
    return rows === 0 ? 0 : this.floorNs + contextTokens * this.nsPerToken;
  }
}

/** Bandwidth, bytes/s, of what large points take beyond the launch: the median. Infinite for a table without large points. */
function coldRate(table: GenerationAttentionTable): number {
  const { batches, contexts, timesNs } = table;
  const perToken = 2 * table.kvHeads * table.headDim * 2;
  const rates: number[] = [];
  batches.forEach((batch, i) => {
    contexts.forEach((context, j) => {
      const bytes = batch * context * perToken;
      const ns = timesNs[i * contexts.length + j]! - timesNs[0]!;
      if (bytes > COLD_BYTES && ns > 0) rates.push((bytes * 1e9) / ns);
    });
  });
  rates.sort((a, b) => a - b);
  return rates.length === 0 ? Number.POSITIVE_INFINITY : rates[rates.length >> 1]!;
}
