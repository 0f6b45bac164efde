import type { CollectiveTable } from '../device-profile.ts';
import { beyond, gridPlace, valueAt } from './grid.ts';

/** Largest message of vLLM's own all-reduce kernels on Hopper, bytes, by GPUs (`all_reduce_utils.py`); larger ones go through NCCL. */
const CUSTOM_BYTES_MAX: Readonly<Record<number, number>> = { 2: 64 * 2 ** 20, 4: 32 * 2 ** 20, 8: 64 * 2 ** 20 };

/** Times of all-reduces of 16-bit elements over `gpus` GPUs of one server; 0 for one GPU. */
export class CollectiveTimes {
  readonly exact: boolean;
  private readonly custom: CollectiveTable | null;
  private readonly nccl: CollectiveTable | null;
  private readonly customElementsMax: number;

  constructor(custom: readonly CollectiveTable[], nccl: readonly CollectiveTable[], gpus: number) {
    this.custom = gpus === 1 ? null : closest(custom, gpus);
    this.nccl = gpus === 1 ? null : closest(nccl, gpus);
    this.exact = gpus === 1 || this.custom?.gpus === gpus;
    this.customElementsMax = (CUSTOM_BYTES_MAX[gpus] ?? 0) / 2;
  }

  timeNs(elements: number): number {
    const table = elements <= this.customElementsMax || this.nccl === null ? this.custom : this.nccl;
    if (table === null || elements === 0) return 0;
    return valueAt(table.timesNs, gridPlace(table.elements, elements)) * beyond(table.elements, elements);
  }
}

function closest(tables: readonly CollectiveTable[], gpus: number): CollectiveTable | null {
  let best: CollectiveTable | null = null;
  for (const table of tables) {
    if (best === null || Math.abs(table.gpus - gpus) < Math.abs(best.gpus - gpus)) best = table;
  }
  return best;
}
