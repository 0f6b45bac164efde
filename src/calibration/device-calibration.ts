import type {
  DeviceProfile,
  GemmTable,
  GenerationAttentionTable,
  MeasuredPeaks,
  ProfileSource,
} from '../backends/simulated/index.ts';
import { contextResidual, contextTables, generationResidual, generationTables } from './attention-calibration.ts';
import { collectiveResidual, customAllReduceTables, ncclTables } from './collective-calibration.ts';
import { elementwiseResidual, elementwiseTime } from './elementwise-calibration.ts';
import { coldGemm, gemmResiduals, gemmTable } from './gemm-calibration.ts';
import type { KernelCsv } from './kernel-csv.ts';
import { moeResidual, moeTables } from './moe-calibration.ts';
import { samplingResidual, samplingTable } from './sampling-calibration.ts';

export interface KernelTables {
  readonly gemm: KernelCsv;
  readonly contextAttention: KernelCsv;
  readonly generationAttention: KernelCsv;
  readonly moe: KernelCsv;
  readonly allReduce: KernelCsv;
  readonly nccl: KernelCsv;
  /** Element-wise kernels and sampling. */
  readonly elementwise: KernelCsv;
}

/** Reads of at least this size come from memory. */
const LARGE_BYTES = 500e6;

/** The profile of one kind of GPU from its kernel tables. Pure: same tables, same profile. Throws KernelTableError for tables without use. */
export function deviceProfile(
  device: string,
  createdOn: string,
  sources: readonly ProfileSource[],
  tables: KernelTables,
): DeviceProfile {
  const gemm = { bf16: gemmTable(tables.gemm, 'bfloat16'), fp8: gemmTable(tables.gemm, 'fp8') };
  const contextAttention = contextTables(tables.contextAttention);
  const generationAttention = generationTables(tables.generationAttention);
  const moe = moeTables(tables.moe);
  const allReduce = customAllReduceTables(tables.allReduce);
  const nccl = ncclTables(tables.nccl);
  const elementwise = elementwiseTime(tables.elementwise);
  const sampling = {
    plain: samplingTable(tables.elementwise, 'temperature'),
    topP: samplingTable(tables.elementwise, 'top-p'),
    topKTopP: samplingTable(tables.elementwise, 'top-k and top-p'),
  };
  const residuals = [
    ...gemmResiduals('bf16', gemm.bf16),
    ...gemmResiduals('fp8', gemm.fp8),
    contextResidual(contextAttention),
    generationResidual(generationAttention),
    moeResidual(moe),
    collectiveResidual('allReduce', allReduce),
    collectiveResidual('nccl', nccl),
    elementwiseResidual(tables.elementwise, elementwise),
    samplingResidual('sampling.plain', sampling.plain),
    samplingResidual('sampling.topP', sampling.topP),
    samplingResidual('sampling.topKTopP', sampling.topKTopP),
  ].filter((residual) => residual !== null);
  const peaks = measuredPeaks(gemm.bf16, gemm.fp8, generationAttention);
  return {
    formatVersion: 1,
    device,
    createdOn,
    sources,
    peaks,
    residuals,
    elementwise,
    sampling,
    allReduce,
    nccl,
    gemm,
    coldGemm: coldGemm(tables.elementwise, gemm.bf16, peaks),
    moe,
    contextAttention,
    generationAttention,
  };
}

/** The best that any measurement reached: arithmetic by the products; bandwidth by reading large weights or KV. */
function measuredPeaks(
  bf16: GemmTable,
  fp8: GemmTable,
  generation: readonly GenerationAttentionTable[],
): MeasuredPeaks {
  const rates = [gemmPeaks(bf16, 2), gemmPeaks(fp8, 1)] as const;
  let hbm = Math.max(rates[0].bytes, rates[1].bytes);
  for (const { batches, contexts, timesNs, kvHeads, headDim } of generation) {
    batches.forEach((batch, i) => {
      contexts.forEach((context, j) => {
        const bytes = batch * context * 2 * kvHeads * headDim * 2;
        const ns = timesNs[i * contexts.length + j]!;
        if (bytes >= LARGE_BYTES && ns > 0) hbm = Math.max(hbm, (bytes * 1e9) / ns);
      });
    });
  }
  return {
    hbmBytesPerSecond: Math.round(hbm),
    bf16FlopsPerSecond: Math.round(rates[0].flops),
    fp8FlopsPerSecond: Math.round(rates[1].flops),
  };
}

function gemmPeaks({ ms, ns, ks, timesNs }: GemmTable, elementBytes: number): { flops: number; bytes: number } {
  let flops = 0;
  let bytes = 0;
  timesNs.forEach((time, index) => {
    const m = ms[index % ms.length]!;
    const k = ks[Math.floor(index / ms.length) % ks.length]!;
    const n = ns[Math.floor(index / (ms.length * ks.length))]!;
    flops = Math.max(flops, (2 * m * n * k * 1e9) / time);
    if (n * k * elementBytes >= LARGE_BYTES) bytes = Math.max(bytes, (n * k * elementBytes * 1e9) / time);
  });
  return { flops, bytes };
}

/** The profile as JSON: one property a line, lists of numbers wrapped at 120 columns, a line end at the end. */
export function profileText(profile: DeviceProfile): string {
  const indented = JSON.stringify(profile, null, 2);
  return `${indented.replace(/\[\s*(-?[\d.e+-]+(?:,\s*-?[\d.e+-]+)*)\s*\]/g, (_, list: string) => wrap(list))}\n`;
}

function wrap(list: string): string {
  const lines: string[] = [];
  let line = '';
  for (const number of list.split(/,\s*/)) {
    if (line.length + number.length > 116) {
      lines.push(line);
      line = '';
    }
    line += `${number},`;
  }
  lines.push(line.slice(0, -1));
  return `[${lines.join('\n')}]`;
}
