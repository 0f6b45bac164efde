import type { MoeTable, ProfileResidual } from '../backends/simulated/index.ts';
import { type KernelCsv, KernelTableError, rising } from './kernel-csv.ts';
import { between, ResidualBook } from './residuals.ts';

/**
 * fp8 experts with one scale per block of weights run the Triton kernels that per-tensor ones run in vLLM 0.15; the per-tensor rows of
 * the table are of another kernel and five times slower than reading the weights.
 */
const FORMATS: ReadonlyMap<string, 'bf16' | 'fp8'> = new Map([
  ['bfloat16', 'bf16'],
  ['fp8_block', 'fp8'],
]);

/** One table per block: experts whole on every GPU (moe_ep_size 1), routes evenly spread. Columns: moe_dtype, num_tokens, ..., latency (ms). */
export function moeTables(csv: KernelCsv): readonly MoeTable[] {
  const groups = new Map<string, Map<number, number>>();
  for (let row = 0; row < csv.rows; row++) {
    const format = FORMATS.get(csv.text(row, 'moe_dtype'));
    if (format === undefined || csv.number(row, 'moe_ep_size') !== 1 || csv.text(row, 'distribution') !== 'balanced') {
      continue;
    }
    const inner = csv.number(row, 'inter_size') / csv.number(row, 'moe_tp_size');
    if (inner < 128) continue;
    const sizes = ['hidden_size', 'num_experts', 'topk'].map((column) => csv.number(row, column));
    const name = [format, inner, ...sizes].join(',');
    let group = groups.get(name);
    if (group === undefined) {
      group = new Map();
      groups.set(name, group);
    }
    group.set(csv.number(row, 'num_tokens'), csv.ns(row));
  }
  if (groups.size === 0) throw new KernelTableError(csv.file, 'has no rows of evenly spread bf16 or fp8 experts');
  return [...groups].map(([name, times]) => {
    const [format, ...sizes] = name.split(',') as ['bf16' | 'fp8', ...string[]];
    const [intermediateSize, hiddenSize, experts, expertsPerToken] = sizes.map(Number) as [
      number,
      number,
      number,
      number,
    ];
    const tokens = rising(times.keys());
    return {
      format,
      hiddenSize,
      intermediateSize,
      experts,
      expertsPerToken,
      tokens,
      timesNs: tokens.map((count) => times.get(count)!),
    };
  });
}

export function moeResidual(tables: readonly MoeTable[]): ProfileResidual | null {
  const book = new ResidualBook();
  for (const { tokens, timesNs } of tables) {
    for (let i = 1; i < tokens.length - 1; i++) {
      book.add(between(tokens[i]!, tokens[i - 1]!, timesNs[i - 1]!, tokens[i + 1]!, timesNs[i + 1]!), timesNs[i]!);
    }
  }
  return book.summary('moe', 'one number of tokens');
}
