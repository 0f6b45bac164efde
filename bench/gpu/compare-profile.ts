// Held-out check: kernels measured by measure_kernels.py against the predictions of the bundled profile, which has not seen them
// (but for the element-wise ones). Usage: npx tsx bench/gpu/compare-profile.ts bench/gpu/h100-2026-11-24/kernels.csv
import { readFileSync } from 'node:fs';
import { catalogueModel, DeviceOperators } from '../../src/backends/simulated/index.ts';
import { GemmTimes } from '../../src/backends/simulated/kernels/gemm-times.ts';
import { MoeTimes } from '../../src/backends/simulated/kernels/moe-times.ts';
import { KernelCsv } from '../../src/calibration/kernel-csv.ts';
import { ResidualBook } from '../../src/calibration/residuals.ts';
import { bundledDeviceProfile } from '../../src/runtime/device-profile-file.ts';

const path = process.argv[2];
if (path === undefined) throw new Error('usage: npx tsx bench/gpu/compare-profile.ts KERNELS.csv');
const csv = new KernelCsv(path, readFileSync(path, 'utf8'));
const profile = bundledDeviceProfile('H100-SXM-80GB');
if (profile === null) throw new Error('no profile of the H100 is bundled');

const books = new Map<string, ResidualBook>();
function add(group: string, predicted: number, measured: number): void {
  let book = books.get(group);
  if (book === undefined) {
    book = new ResidualBook();
    books.set(group, book);
  }
  book.add(predicted, measured);
}

const gemm = {
  bf16: new GemmTimes(profile.gemm.bf16, profile.peaks, 'bf16'),
  fp8: new GemmTimes(profile.gemm.fp8, profile.peaks, 'fp8'),
};
for (let row = 0; row < csv.rows; row++) {
  if (csv.text(row, 'op') !== 'gemm') continue;
  const variant = csv.text(row, 'variant');
  const [m, n, k] = ['m', 'n', 'k'].map((side) => csv.number(row, side)) as [number, number, number];
  const times = variant === 'bf16' ? gemm.bf16 : gemm.fp8;
  const where = times.extrapolates(n, k) ? 'beyond the table' : 'inside the table';
  const size = m <= 64 ? 'm 1 to 64' : m <= 512 ? 'm 65 to 512' : 'm 513 to 4096';
  add(`GEMM ${variant}, ${where}, ${size}`, times.timeNs(m, n, k), csv.number(row, 'time_ns'));
}

/** The best block size that was tried, per shape and number of tokens. */
const best = new Map<string, number>();
for (let row = 0; row < csv.rows; row++) {
  if (csv.text(row, 'op') !== 'moe') continue;
  const [format, experts, top] = csv.text(row, 'variant').split(' ') as [string, string, string];
  const key = [
    format,
    experts.slice(2),
    top.slice(4),
    csv.text(row, 'm'),
    csv.text(row, 'n'),
    csv.text(row, 'k'),
  ].join();
  best.set(key, Math.min(best.get(key) ?? Number.POSITIVE_INFINITY, csv.number(row, 'time_ns')));
}
for (const [key, measured] of best) {
  const [format, ...sizes] = key.split(',') as ['bf16' | 'fp8', ...string[]];
  const [count, perToken, m, hiddenSize, intermediateSize] = sizes.map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const experts = { count, perToken, intermediateSize };
  const times = new MoeTimes(profile.moe, { hiddenSize, experts, intermediateSize, format }, profile.peaks);
  const size = m <= 64 ? 'up to 64 tokens' : m <= 256 ? '128 and 256 tokens' : 'more tokens';
  add(`MoE ${format}, Triton, ${size}`, times.timeNs(m), measured);
}

const options = { tensorParallel: 1, tokensPerStepMax: 2048, sequencesMax: 128 };
const operators = new DeviceOperators(profile, catalogueModel('llama-3.1-8b'), options);
for (let row = 0; row < csv.rows; row++) {
  if (csv.text(row, 'op') !== 'layer') continue;
  const m = csv.number(row, 'm');
  const size = m <= 256 ? 'm 1 to 256' : 'm 512 to 2048';
  const alone = csv.text(row, 'variant').includes('alone');
  // The chain has no query-key norms: five small kernels.
  const others = operators.elementwise[m]! / operators.shape.layers + 5 * profile.elementwise.floorNs;
  const predicted = operators.gemm[m]! / operators.shape.layers + (alone ? 0 : others);
  add(
    `Llama-3.1-8B layer, ${alone ? 'GEMMs alone' : 'without attention'}, ${size}`,
    predicted,
    csv.number(row, 'time_ns'),
  );
}

console.log('| kernels | points | median error | 90th percentile | bias (predicted over measured) |');
console.log('|---|---|---|---|---|');
for (const [group, book] of books) {
  const summary = book.summary(group, 'all of it');
  if (summary === null) continue;
  const cells = [summary.medianAbsError, summary.p90AbsError, summary.bias].map((x) => `${(100 * x).toFixed(1)} %`);
  console.log(`| ${group} | ${summary.points} | ${cells.join(' | ')} |`);
}
