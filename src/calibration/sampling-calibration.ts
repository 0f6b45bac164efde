import type { ProfileResidual, SamplingTable } from '../backends/simulated/index.ts';
import { type KernelCsv, KernelTableError, rising } from './kernel-csv.ts';
import { between, ResidualBook } from './residuals.ts';

/** Rows `sample` of `bench/gpu/measure_kernels.py` of one variant: m rows, n vocabulary entries. */
export function samplingTable(csv: KernelCsv, variant: string): SamplingTable {
  const times = new Map<string, number>();
  for (let row = 0; row < csv.rows; row++) {
    if (csv.text(row, 'op') !== 'sample' || csv.text(row, 'variant') !== variant) continue;
    times.set(`${csv.number(row, 'n')},${csv.number(row, 'm')}`, Math.round(csv.number(row, 'time_ns')));
  }
  const [vocabs, rows] = [0, 1].map((side) => rising([...times.keys()].map((key) => Number(key.split(',')[side]))));
  const timesNs = vocabs!.flatMap((vocab) => rows!.map((count) => times.get(`${vocab},${count}`)));
  if (times.size === 0 || timesNs.includes(undefined)) {
    throw new KernelTableError(csv.file, `needs every vocabulary at every number of rows of sampling with ${variant}`);
  }
  return { vocabs: vocabs!, rows: rows!, timesNs: timesNs as number[] };
}

export function samplingResidual(name: string, { vocabs, rows, timesNs }: SamplingTable): ProfileResidual | null {
  const book = new ResidualBook();
  vocabs.forEach((_, i) => {
    for (let j = 1; j < rows.length - 1; j++) {
      const at = i * rows.length + j;
      book.add(between(rows[j]!, rows[j - 1]!, timesNs[at - 1]!, rows[j + 1]!, timesNs[at + 1]!), timesNs[at]!);
    }
  });
  return book.summary(name, 'one number of rows');
}
