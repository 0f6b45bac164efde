import type { ContextAttentionTable, GenerationAttentionTable, ProfileResidual } from '../backends/simulated/index.ts';
import { type KernelCsv, KernelTableError, rising } from './kernel-csv.ts';
import { between, ResidualBook } from './residuals.ts';

interface Table {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly batches: readonly number[];
  readonly lengths: readonly number[];
  readonly timesNs: readonly number[];
}

/** Sizes of heads that models have. */
const HEAD_DIMS: ReadonlySet<number> = new Set([64, 128, 256]);

/** Tables of prompt attention, 16-bit KV, full attention: one per head counts. Columns: batch_size, isl, num_heads, ..., latency (ms). */
export function contextTables(csv: KernelCsv): readonly ContextAttentionTable[] {
  return tables(csv, (row) => csv.number(row, 'isl')).map(({ lengths, ...table }) => ({ ...table, tokens: lengths }));
}

/** The same for one new token per sequence; the context contains it. */
export function generationTables(csv: KernelCsv): readonly GenerationAttentionTable[] {
  return tables(csv, (row) => csv.number(row, 'isl') + csv.number(row, 'step')).map(({ lengths, ...table }) => ({
    ...table,
    contexts: lengths,
  }));
}

function tables(csv: KernelCsv, lengthOf: (row: number) => number): readonly Table[] {
  const groups = new Map<string, Map<string, number>>();
  for (let row = 0; row < csv.rows; row++) {
    if (csv.text(row, 'kv_cache_dtype') !== 'bfloat16' || csv.number(row, 'window_size') !== 0) continue;
    if (!HEAD_DIMS.has(csv.number(row, 'head_dim'))) continue;
    const heads = ['num_heads', 'num_key_value_heads', 'head_dim'].map((column) => csv.number(row, column)).join(',');
    let group = groups.get(heads);
    if (group === undefined) {
      group = new Map();
      groups.set(heads, group);
    }
    group.set(`${csv.number(row, 'batch_size')},${lengthOf(row)}`, csv.ns(row));
  }
  if (groups.size === 0) throw new KernelTableError(csv.file, 'has no rows of 16-bit KV without a window');
  return [...groups].map(([heads, times]) => grid(heads, times)).sort(byHeads);
}

function grid(name: string, times: ReadonlyMap<string, number>): Table {
  const [heads, kvHeads, headDim] = name.split(',').map(Number) as [number, number, number];
  const points = [...times.keys()].map((key) => key.split(',').map(Number) as [number, number]);
  const batches = rising(points.map(([batch]) => batch));
  const lengths = rising(points.map(([, length]) => length));
  const timesNs = batches.flatMap((batch) => lengths.map((length) => times.get(`${batch},${length}`) ?? 0));
  return { heads, kvHeads, headDim, batches, lengths, timesNs };
}

function byHeads(a: Table, b: Table): number {
  return a.headDim - b.headDim || a.heads - b.heads || a.kvHeads - b.kvHeads;
}

/** Every point that has neighbours in both directions, left out and read from its neighbours in batch. */
export function contextResidual(given: readonly ContextAttentionTable[]): ProfileResidual | null {
  const book = new ResidualBook();
  for (const { batches, tokens, timesNs } of given) {
    eachInner(timesNs, batches.length, tokens.length, (i, _j, time, below, above) => {
      book.add(between(batches[i]!, batches[i - 1]!, below.batch, batches[i + 1]!, above.batch), time);
    });
  }
  return book.summary('contextAttention', 'one point, from the batches next to it');
}

/** The same, read from its neighbours in context. */
export function generationResidual(given: readonly GenerationAttentionTable[]): ProfileResidual | null {
  const book = new ResidualBook();
  for (const { batches, contexts, timesNs } of given) {
    eachInner(timesNs, batches.length, contexts.length, (_i, j, time, below, above) => {
      book.add(between(contexts[j]!, contexts[j - 1]!, below.length, contexts[j + 1]!, above.length), time);
    });
  }
  return book.summary('generationAttention', 'one point, from the contexts next to it');
}

interface Neighbour {
  readonly batch: number;
  readonly length: number;
}

function eachInner(
  times: readonly number[],
  rows: number,
  columns: number,
  visit: (i: number, j: number, time: number, below: Neighbour, above: Neighbour) => void,
): void {
  const at = (i: number, j: number) => times[i * columns + j]!;
  for (let i = 1; i < rows - 1; i++) {
    for (let j = 1; j < columns - 1; j++) {
      const below = { batch: at(i - 1, j), length: at(i, j - 1) };
      const above = { batch: at(i + 1, j), length: at(i, j + 1) };
      const measured = [at(i, j), below.batch, below.length, above.batch, above.length];
      if (measured.every((time) => time > 0)) visit(i, j, at(i, j), below, above);
    }
  }
}
