import type { CollectiveTable, ProfileResidual } from '../backends/simulated/index.ts';
import { type KernelCsv, KernelTableError, rising } from './kernel-csv.ts';
import { between, ResidualBook } from './residuals.ts';

/** vLLM's own all-reduce inside a CUDA graph. `message_size` counts 16-bit elements (aiconfigurator, `collector/network`). */
export function customAllReduceTables(csv: KernelCsv): readonly CollectiveTable[] {
  return tables(csv, (row) => csv.text(row, 'backend') === 'vllm_graph');
}

/** NCCL's all-reduce. */
export function ncclTables(csv: KernelCsv): readonly CollectiveTable[] {
  return tables(csv, (row) => csv.text(row, 'op_name') === 'all_reduce' && csv.text(row, 'nccl_dtype') === 'half');
}

function tables(csv: KernelCsv, wanted: (row: number) => boolean): readonly CollectiveTable[] {
  const groups = new Map<number, Map<number, number>>();
  for (let row = 0; row < csv.rows; row++) {
    if (!wanted(row)) continue;
    const gpus = csv.number(row, 'num_gpus');
    let group = groups.get(gpus);
    if (group === undefined) {
      group = new Map();
      groups.set(gpus, group);
    }
    group.set(csv.number(row, 'message_size'), csv.ns(row));
  }
  if (groups.size === 0) throw new KernelTableError(csv.file, 'has no rows of all-reduces');
  return rising(groups.keys()).map((gpus) => {
    const times = groups.get(gpus)!;
    const elements = rising(times.keys());
    return { gpus, elements, timesNs: elements.map((count) => times.get(count)!) };
  });
}

export function collectiveResidual(name: string, given: readonly CollectiveTable[]): ProfileResidual | null {
  const book = new ResidualBook();
  for (const { elements, timesNs } of given) {
    for (let i = 1; i < elements.length - 1; i++) {
      const guess = between(elements[i]!, elements[i - 1]!, timesNs[i - 1]!, elements[i + 1]!, timesNs[i + 1]!);
      book.add(guess, timesNs[i]!);
    }
  }
  return book.summary(name, 'one size');
}
