import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { DeviceProfile, ProfileSource } from '../backends/simulated/index.ts';
import { deviceProfile, type KernelTables } from '../calibration/device-calibration.ts';
import { KernelCsv } from '../calibration/kernel-csv.ts';
import { withPath } from './input-error.ts';

export interface CalibrateDeviceOptions {
  /** Folder of the kernel tables: `gemm/FRAMEWORK/VERSION/gemm_perf.csv.gz` and so on, as ai-dynamo/aiconfigurator lays them out. */
  readonly tables: string;
  readonly framework: string;
  readonly version: string;
  readonly ncclVersion: string;
  /** Output of `bench/gpu/measure_kernels.py`: the element-wise kernels, which the tables lack. */
  readonly elementwise: string;
  readonly device: string;
  readonly createdOn: string;
}

/** Reads the kernel tables and makes the profile. Throws InputError for files that cannot be read, KernelTableError for their content. */
export function calibrateDevice(options: CalibrateDeviceOptions): DeviceProfile {
  const sources: ProfileSource[] = [];
  const read = (path: string, name: string, columns: boolean) => {
    const bytes = withPath('kernel table', path, () => readFileSync(path));
    const text = (path.endsWith('.gz') ? withPath('kernel table', path, () => gunzipSync(bytes)) : bytes).toString(
      'utf8',
    );
    const csv = new KernelCsv(name, text);
    const column = (field: string, other: string) => (columns ? csv.text(0, field) : other);
    sources.push({
      file: name,
      framework: column('framework', 'PyTorch and Triton'),
      version: column('version', options.createdOn),
      device: column('device', options.device),
      rows: csv.rows,
      sha256: createHash('sha256').update(text).digest('hex'),
    });
    return csv;
  };
  const table = (folder: string, version: string, file: string) => {
    const path = join(options.tables, folder, version, file);
    return read(path, relative(options.tables, path), true);
  };
  const versioned = join(options.framework, options.version);
  const tables: KernelTables = {
    gemm: table('gemm', versioned, 'gemm_perf.csv.gz'),
    contextAttention: table('attention', versioned, 'context_attention_perf.csv.gz'),
    generationAttention: table('attention', versioned, 'generation_attention_perf.csv.gz'),
    moe: table('moe', versioned, 'moe_perf.csv.gz'),
    allReduce: table('comm', versioned, 'custom_allreduce_perf.csv.gz'),
    nccl: table('comm', join('nccl', options.ncclVersion), 'nccl_perf.csv.gz'),
    elementwise: read(options.elementwise, options.elementwise.split(/[\\/]/).slice(-2).join('/'), false),
  };
  return deviceProfile(options.device, options.createdOn, sources, tables);
}
