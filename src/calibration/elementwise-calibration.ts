import type { ElementwiseTime, ProfileResidual } from '../backends/simulated/index.ts';
import { type KernelCsv, KernelTableError } from './kernel-csv.ts';
import { quantile, ResidualBook } from './residuals.ts';

/** Traffic above which a kernel no longer runs from the L2 cache: most of the 50 MB of an H100. */
const L2_BYTES = 40e6;

interface Point {
  readonly bytes: number;
  readonly ns: number;
}

/**
 * Floor and rates of the kernels between the products, from rows `elementwise` (m rows, n elements) of `bench/gpu/measure_kernels.py`: the
 * median time at one row, the median rate of what fits the L2 cache and is at least three floors long, and that of what does not fit.
 */
export function elementwiseTime(csv: KernelCsv): ElementwiseTime {
  const all = points(csv);
  const floors = all.filter(({ bytes }) => bytes < 200_000).map(({ ns }) => ns);
  if (floors.length === 0) throw new KernelTableError(csv.file, 'has no rows of element-wise kernels');
  const floorNs = Math.round(median(floors));
  const rate = (points: readonly Point[], less: number) =>
    Math.round(median(points.map(({ bytes, ns }) => (bytes * 1e9) / (ns - less))));
  const cached = all.filter(({ bytes, ns }) => bytes <= L2_BYTES && ns > 3 * floorNs);
  const cold = all.filter(({ bytes }) => bytes > 3 * L2_BYTES);
  if (cached.length === 0 || cold.length === 0)
    throw new KernelTableError(csv.file, 'has no large element-wise kernels');
  return { floorNs, l2BytesPerSecond: rate(cached, floorNs), l2Bytes: L2_BYTES, bytesPerSecond: rate(cold, 0) };
}

/** Not left out: three numbers from this many points. */
export function elementwiseResidual(csv: KernelCsv, fit: ElementwiseTime): ProfileResidual | null {
  const book = new ResidualBook();
  for (const { bytes, ns } of points(csv)) {
    const rate = bytes <= fit.l2Bytes ? fit.l2BytesPerSecond : fit.bytesPerSecond;
    book.add(fit.floorNs + (bytes * 1e9) / rate, ns);
  }
  return book.summary('elementwise', 'nothing');
}

function points(csv: KernelCsv): readonly Point[] {
  const all: Point[] = [];
  for (let row = 0; row < csv.rows; row++) {
    if (csv.text(row, 'op') !== 'elementwise') continue;
    const perRow = TRAFFIC.get(csv.text(row, 'variant'));
    if (perRow === undefined) continue;
    all.push({ bytes: csv.number(row, 'm') * csv.number(row, 'n') * perRow, ns: csv.number(row, 'time_ns') });
  }
  return all;
}

/** Bytes read and written per row and element: norm reads and writes input and residual; the activation reads two and writes one. */
const TRAFFIC: ReadonlyMap<string, number> = new Map([
  ['add and RMS norm', 8],
  ['silu and multiply', 6],
]);

function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}
