import type {
  ColdGemm,
  ColdGemmShape,
  GemmTable,
  MeasuredPeaks,
  ProfileResidual,
  WeightFormat,
} from '../backends/simulated/index.ts';
import { GemmTimes, rowPlace } from '../backends/simulated/kernels/gemm-times.ts';
import { type KernelCsv, KernelTableError, rising } from './kernel-csv.ts';
import { between, quantile, ResidualBook } from './residuals.ts';

/** Smaller sides occur in no model: a shard of a projection has at least 256 rows and columns. Routers are read at the first column. */
const SIDE_MIN = 256;

/**
 * The table of one format: every (n, k) that was measured at every m. Columns: gemm_dtype, m, n, k, latency (ms). A point that is missing
 * inside the grid takes the mean of its neighbours in n and k. Throws KernelTableError when there is nothing, or too many holes.
 */
export function gemmTable(csv: KernelCsv, dtype: string): GemmTable {
  const times = new Map<string, number>();
  for (let row = 0; row < csv.rows; row++) {
    if (csv.text(row, 'gemm_dtype') !== dtype) continue;
    const [m, n, k] = [csv.number(row, 'm'), csv.number(row, 'n'), csv.number(row, 'k')];
    if (n >= SIDE_MIN && k >= SIDE_MIN) times.set(key(m, n, k), csv.ns(row));
  }
  const sides = [0, 1, 2].map((side) => rising([...times.keys()].map((text) => Number(text.split(',')[side]))));
  const [ms, ns, ks] = sides as [number[], number[], number[]];
  if (times.size === 0) throw new KernelTableError(csv.file, `has no rows of gemm_dtype ${dtype}`);
  const timesNs: number[] = [];
  ns.forEach((n, i) => {
    ks.forEach((k, j) => {
      for (const m of ms) timesNs.push(times.get(key(m, n, k)) ?? neighbours(times, ms, ns, ks, m, i, j, csv.file));
    });
  });
  return { ms, ns, ks, timesNs };
}

function key(m: number, n: number, k: number): string {
  return `${m},${n},${k}`;
}

/** The largest corner was too large to measure in a few places: there, the time of the last measured side grows in proportion. */
function neighbours(
  times: ReadonlyMap<string, number>,
  ms: readonly number[],
  ns: readonly number[],
  ks: readonly number[],
  m: number,
  i: number,
  j: number,
  file: string,
): number {
  const guesses: number[] = [];
  const at = (a: number, b: number) => times.get(key(m, ns[a]!, ks[b]!));
  const scaled = (a: number, b: number) => {
    const time = a >= 0 && b >= 0 ? at(a, b) : undefined;
    if (time !== undefined) guesses.push((time * ns[i]! * ks[j]!) / (ns[a]! * ks[b]!));
  };
  scaled(i - 1, j);
  scaled(i, j - 1);
  const lower = ms[ms.indexOf(m) - 1];
  const same = lower === undefined ? undefined : times.get(key(lower, ns[i]!, ks[j]!));
  if (same !== undefined && lower !== undefined) guesses.push((same * m) / lower);
  if (guesses.length === 0) {
    throw new KernelTableError(file, `no time for m ${m}, n ${ns[i]}, k ${ks[j]}, nor for its neighbours`);
  }
  return Math.round(guesses.reduce((a, b) => a + b) / guesses.length);
}

/** Rows `gemm`, variant bf16, of `bench/gpu/measure_kernels.py` (m, n, k), and how they compare with `table`. */
export function coldGemm(csv: KernelCsv, table: GemmTable, peaks: MeasuredPeaks): ColdGemm {
  const shapes = new Map<string, Map<number, number>>();
  for (let row = 0; row < csv.rows; row++) {
    if (csv.text(row, 'op') !== 'gemm' || csv.text(row, 'variant') !== 'bf16') continue;
    const shape = `${csv.number(row, 'n')},${csv.number(row, 'k')}`;
    const times = shapes.get(shape) ?? new Map<number, number>();
    shapes.set(shape, times.set(csv.number(row, 'm'), Math.round(csv.number(row, 'time_ns'))));
  }
  const hot = new GemmTimes(table, peaks, 'bf16');
  const ratios: number[] = [];
  const measured = [...shapes].map(([shape, times]): ColdGemmShape => {
    const [n, k] = shape.split(',').map(Number) as [number, number];
    const ms = rising(times.keys());
    if (!hot.extrapolates(n, k)) for (const m of ms) ratios.push(times.get(m)! / hot.timeNs(m, n, k));
    return { n, k, ms, timesNs: ms.map((m) => times.get(m)!) };
  });
  if (ratios.length === 0) throw new KernelTableError(csv.file, 'has no bf16 products inside the GEMM table');
  ratios.sort((a, b) => a - b);
  return { factor: Math.round(quantile(ratios, 0.5) * 1e4) / 1e4, shapes: measured };
}

/**
 * Predictions of what is left out, as the timing model interpolates. One shape: all its times, from the shapes next to it in n and in k (mean of
 * both), so over twice the distance of the real table. One m: all shapes at that m.
 */
export function gemmResiduals(format: WeightFormat, table: GemmTable): readonly ProfileResidual[] {
  const name = `gemm.${format}`;
  const { ms, ns, ks, timesNs } = table;
  const at = (i: number, j: number, l: number) => timesNs[(i * ks.length + j) * ms.length + l]!;
  const shapes = new ResidualBook();
  const rows = new ResidualBook();
  for (let i = 0; i < ns.length; i++) {
    for (let j = 0; j < ks.length; j++) {
      for (let l = 0; l < ms.length; l++) {
        if (i > 0 && i < ns.length - 1 && j > 0 && j < ks.length - 1) {
          const alongN = between(ns[i]!, ns[i - 1]!, at(i - 1, j, l), ns[i + 1]!, at(i + 1, j, l));
          const alongK = between(ks[j]!, ks[j - 1]!, at(i, j - 1, l), ks[j + 1]!, at(i, j + 1, l));
          shapes.add((alongN + alongK) / 2, at(i, j, l));
        }
        if (l > 0 && l < ms.length - 1) {
          const share = rowPlace([ms[l - 1]!, ms[l + 1]!], ms[l]!, format);
          rows.add(between(share, 0, at(i, j, l - 1), 1, at(i, j, l + 1)), at(i, j, l));
        }
      }
    }
  }
  return [shapes.summary(name, 'one shape (n, k) at all m'), rows.summary(name, 'one m at all shapes')].filter(
    (residual) => residual !== null,
  );
}
