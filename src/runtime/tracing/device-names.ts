import type { DeviceNames } from '../../observability/spans/index.ts';

/** What the simulated device calls its work: it runs a timing model, no kernels. */
export function simulatedDeviceNames(tensorParallel: number): DeviceNames {
  return {
    prefillKernel: 'simulated_prefill',
    decodeKernel: 'simulated_decode',
    gpuId: Array.from({ length: tensorParallel }, (_, gpu) => gpu).join(','),
  };
}
