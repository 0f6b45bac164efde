import type { GpuTelemetry } from '../../core/index.ts';

/** A GPU of which nothing has been read yet. */
export function emptyGpu(): GpuTelemetry {
  return {
    memoryTotalBytes: 0,
    memoryUsedBytes: 0,
    modelBytes: 0,
    kvCacheBytes: 0,
    activationBytes: 0,
    computeUtilizationPercent: Number.NaN,
    memoryBandwidthUtilizationPercent: Number.NaN,
    healthy: true,
  };
}
