import type { ContextAttentionTable, MeasuredPeaks } from '../device-profile.ts';
import { closestTable } from './attention-tables.ts';
import type { AttentionShape } from './decode-attention.ts';
import { beyond, gridPlace, valueAt } from './grid.ts';

/**
 * Causal attention of prompts and chunks of prompts, by rows and query-key pairs. A chunk of t tokens after c cached ones has
 * t (c + (t + 1) / 2) pairs; it is read as a whole prompt of as many pairs, s (s + 1) / 2. Batches of unequal rows are read as equal rows with the
 * same pairs in all. Head counts between tables are read as more or fewer rows.
 */
export class PrefillAttentionTimes {
  readonly exact: boolean;
  /** Of one row of the shortest prompt. */
  readonly floorNs: number;
  private readonly table: ContextAttentionTable;
  private readonly filled: Float64Array;
  /** Rows of the table per row of this layer. */
  private readonly share: number;
  /** At the measured peak rate, per query-key pair. */
  readonly nsPerPairMin: number;
  private readonly nsPerKvToken: number;

  constructor(tables: readonly ContextAttentionTable[], shape: AttentionShape, peaks: MeasuredPeaks) {
    const table = closestTable(tables, shape);
    this.table = table;
    this.share = (shape.heads * shape.headDim) / (table.heads * table.headDim);
    this.exact = this.share === 1 && table.kvHeads === shape.kvHeads && table.headDim === shape.headDim;
    this.filled = fillHoles(table);
    this.floorNs = this.filled[0]!;
    // QK and PV: two products of 2 operations per pair and element of the query width.
    this.nsPerPairMin = (4 * shape.heads * shape.headDim * 1e9) / peaks.bf16FlopsPerSecond;
    this.nsPerKvToken = (2 * shape.kvHeads * shape.headDim * shape.kvElementBytes * 1e9) / peaks.hbmBytesPerSecond;
  }

  /** Time of `rows` rows with `pairs` query-key pairs in all that read `kvTokens` tokens of KV, ns. */
  timeNs(rows: number, pairs: number, kvTokens: number): number {
    if (rows === 0) return 0;
    const { table, filled } = this;
    const length = (Math.sqrt(1 + (8 * pairs) / rows) - 1) / 2;
    const tokens = lengthPlace(table.tokens, length);
    const last = table.tokens[table.tokens.length - 1]!;
    // Beyond the table time grows with the pairs.
    const over = length > last ? (length * (length + 1)) / (last * (last + 1)) : 1;
    const width = table.tokens.length;
    const tableRows = rows * this.share;
    let ns: number;
    if (tableRows < 1) {
      const first = valueAt(filled, tokens);
      ns = filled[0]! + (first - filled[0]!) * tableRows;
    } else {
      const place = gridPlace(table.batches, tableRows);
      const low = Math.floor(place);
      const a = valueAt(filled, tokens, low * width);
      const b = place === low ? a : valueAt(filled, tokens, (low + 1) * width);
      ns = (a + (place - low) * (b - a)) * beyond(table.batches, tableRows);
    }
    return Math.max(ns * over, pairs * this.nsPerPairMin, kvTokens * this.nsPerKvToken);
  }
}

/** Between two lengths the time grows partly with tokens and partly with their square: half of each. */
function lengthPlace(tokens: readonly number[], length: number): number {
  const place = gridPlace(tokens, length);
  const low = Math.floor(place);
  if (place === low) return place;
  const a = tokens[low]!;
  const b = tokens[low + 1]!;
  const square = (length * length - a * a) / (b * b - a * a);
  return low + (place - low + square) / 2;
}

/** Points that were too large to measure grow in proportion to the batch. */
function fillHoles({ batches, tokens, timesNs }: ContextAttentionTable): Float64Array {
  const filled = Float64Array.from(timesNs);
  for (let i = 1; i < batches.length; i++) {
    for (let j = 0; j < tokens.length; j++) {
      const at = i * tokens.length + j;
      if (filled[at] === 0) filled[at] = (filled[at - tokens.length]! * batches[i]!) / batches[i - 1]!;
    }
  }
  return filled;
}
