import type { Backend, Telemetry } from '../core/index.ts';
import { GPUS_MAX } from './catalogue-memory.ts';
import type { MetricsPage } from './metrics-page.ts';

interface GpuCells {
  readonly used: number;
  readonly model: number;
  readonly kvCache: number;
  readonly activations: number;
  readonly compute: number;
  readonly bandwidth: number;
  readonly health: number;
}

/** GPU series, from what the backend says and nothing else; what it does not know stays absent. */
export class GpuSeries {
  private readonly cells: Float64Array;
  private readonly backend: Backend;
  private readonly gpus: readonly GpuCells[];
  private readonly telemetry: Telemetry = {
    gpus: Array.from({ length: GPUS_MAX }, () => ({
      memoryTotalBytes: Number.NaN,
      memoryUsedBytes: Number.NaN,
      modelBytes: Number.NaN,
      kvCacheBytes: Number.NaN,
      activationBytes: Number.NaN,
      computeUtilizationPercent: Number.NaN,
      memoryBandwidthUtilizationPercent: Number.NaN,
      healthy: true,
    })),
  };

  constructor(page: MetricsPage, backend: Backend) {
    this.cells = page.cells;
    this.backend = backend;
    this.gpus = Array.from({ length: GPUS_MAX }, (_, index) => {
      const gpu = String(index);
      return {
        used: page.cell('gpu_memory_used_bytes', gpu),
        model: page.cell('gpu_memory_allocated_bytes', gpu, 'model'),
        kvCache: page.cell('gpu_memory_allocated_bytes', gpu, 'kv_cache'),
        activations: page.cell('gpu_memory_allocated_bytes', gpu, 'activations'),
        compute: page.cell('gpu_compute_utilization', gpu),
        bandwidth: page.cell('gpu_memory_bandwidth_utilization', gpu),
        health: page.cell('gpu_health_status', gpu),
      };
    });
  }

  /** Reads the backend; utilizations are those since the last call. */
  sample(): void {
    const { cells, telemetry } = this;
    this.backend.telemetry(telemetry);
    for (let i = 0; i < telemetry.gpus.length && i < GPUS_MAX; i++) {
      const from = telemetry.gpus[i]!;
      const to = this.gpus[i]!;
      cells[to.used] = from.memoryUsedBytes;
      cells[to.model] = from.modelBytes;
      cells[to.kvCache] = from.kvCacheBytes;
      cells[to.activations] = from.activationBytes;
      if (!Number.isNaN(from.computeUtilizationPercent)) cells[to.compute] = from.computeUtilizationPercent;
      if (!Number.isNaN(from.memoryBandwidthUtilizationPercent)) {
        cells[to.bandwidth] = from.memoryBandwidthUtilizationPercent;
      }
      cells[to.health] = from.healthy ? 1 : 0;
    }
  }
}
