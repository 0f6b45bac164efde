/** One measured size of an all-reduce of 16-bit elements over `gpus` GPUs. */
export interface AllReduceTable {
  readonly gpus: number;
  /** Message sizes in elements, rising. */
  readonly elements: readonly number[];
  readonly ns: readonly number[];
}

/** A GPU as data. Rates are dense (no sparsity) and per direction. */
export interface DeviceSpec {
  readonly name: string;
  /** What CUDA reports as total, after ECC and firmware took their share; not the label on the box. */
  readonly memoryTotalBytes: number;
  readonly hbmBytesPerSecond: number;
  readonly bf16FlopsPerSecond: number;
  /** null: no fp8 units; fp8 weights then save bandwidth only. */
  readonly fp8FlopsPerSecond: number | null;
  readonly pcieBytesPerSecond: number;
  /** GPU to GPU, inside a server. */
  readonly linkBytesPerSecond: number;
  readonly gpusPerNode: number;

  /** Achieved shares of the rates above. */
  readonly efficiency: {
    readonly gemmBf16: number;
    readonly gemmFp8: number;
    /** Weight streaming by a GEMM of few tokens. */
    readonly gemmBandwidth: number;
    /** Causal attention over a prompt, of the bf16 rate. */
    readonly prefillAttention: number;
    /** Reading KV in decode attention. */
    readonly decodeAttention: number;
    /** Element-wise kernels and block copies. */
    readonly copy: number;
    readonly pcie: number;
  };

  /** What a kernel takes beyond its work. */
  readonly floors: {
    readonly gemmNs: number;
    /** With the kernel that quantises its input. */
    readonly gemmFp8Ns: number;
    readonly decodeAttentionNs: number;
    readonly prefillAttentionNs: number;
    /** One batch of copies between host and device. */
    readonly transferNs: number;
  };

  /** Measured; sizes between are interpolated. Empty: from the link rate. */
  readonly allReduce: readonly AllReduceTable[];
}

const GIB = 2 ** 30;

/**
 * NVIDIA H100 SXM5 80 GB. Rates: NVIDIA H100 datasheet (989.4 / 1,978.9 TFLOP/s dense, 3.35 TB/s, NVLink 900 GB/s both ways,
 * PCIe 5.0 x16). Total memory: what PyTorch reports ("79.19 GiB"). Efficiencies, floors and all-reduce: fitted by hand to the kernel
 * tables of ai-dynamo/aiconfigurator (Apache-2.0), systems/data/h100_sxm, vLLM 0.24.0:
 * - GEMM bf16 6144 x 4096: 20 us at 1 token, 129 us at 2,048 (800 TFLOP/s), 536 us at 8,192; 128,256 x 4096: 366 us at 1 (2.87 TB/s);
 *   fp8 6144 x 4096: 14.4 us at 1, 415 us at 8,192 (994 TFLOP/s).
 * - decode attention, 32 / 8 heads of 128: 13.2 us (1 x 512), 187 us (64 x 2,048), 688 us (64 x 8,192).
 * - prefill attention, same heads: 36 us at 1,024 tokens, 264 at 4,096, 912 at 8,192 (600 TFLOP/s causal), 3,310 at 16,384.
 */
export const H100_SXM: DeviceSpec = {
  name: 'H100-SXM-80GB',
  memoryTotalBytes: 79.19 * GIB,
  hbmBytesPerSecond: 3.35e12,
  bf16FlopsPerSecond: 989.4e12,
  fp8FlopsPerSecond: 1978.9e12,
  pcieBytesPerSecond: 64e9,
  linkBytesPerSecond: 450e9,
  gpusPerNode: 8,
  efficiency: {
    gemmBf16: 0.78,
    gemmFp8: 0.5,
    gemmBandwidth: 0.86,
    prefillAttention: 0.606,
    decodeAttention: 0.92,
    copy: 0.8,
    pcie: 0.85,
  },
  floors: {
    gemmNs: 2500,
    gemmFp8Ns: 5500,
    decodeAttentionNs: 12_000,
    prefillAttentionNs: 20_000,
    transferNs: 10_000,
  },
  // aiconfigurator, custom_allreduce, vLLM 0.24.0, inside a CUDA graph; sizes are in 16-bit elements.
  allReduce: [
    { gpus: 2, elements: [4096, 2 ** 20, 2 ** 26], ns: [4400, 12_400, 469_000] },
    { gpus: 4, elements: [4096, 2 ** 20, 2 ** 26], ns: [4800, 18_600, 619_000] },
    { gpus: 8, elements: [4096, 2 ** 20, 2 ** 26], ns: [5100, 19_400, 577_000] },
  ],
};

/**
 * NVIDIA H100 PCIe 80 GB. Rates: NVIDIA H100 datasheet (756 / 1,513 TFLOP/s dense, 2.0 TB/s); pairs may have an NVLink bridge, which is
 * not assumed. Efficiencies are those of the SXM part, GEMM lowered for the 350 W limit: not measured.
 */
const H100_PCIE: DeviceSpec = {
  ...H100_SXM,
  name: 'H100-PCIe-80GB',
  memoryTotalBytes: 79.11 * GIB,
  hbmBytesPerSecond: 2.0e12,
  bf16FlopsPerSecond: 756e12,
  fp8FlopsPerSecond: 1513e12,
  linkBytesPerSecond: 64e9,
  efficiency: { ...H100_SXM.efficiency, gemmBf16: 0.65, gemmFp8: 0.45 },
  allReduce: [],
};

/**
 * NVIDIA A100 SXM4 80 GB. Rates: NVIDIA A100 datasheet (312 TFLOP/s bf16, 2,039 GB/s, NVLink 600 GB/s both ways, PCIe 4.0 x16). Prefill
 * attention: FlashAttention-2 (Dao, arXiv:2307.08691), about 190 TFLOP/s causal forward. The other shares are those of the H100: not measured.
 */
export const A100_SXM: DeviceSpec = {
  ...H100_SXM,
  name: 'A100-SXM-80GB',
  memoryTotalBytes: 79.15 * GIB,
  hbmBytesPerSecond: 2.039e12,
  bf16FlopsPerSecond: 312e12,
  fp8FlopsPerSecond: null,
  pcieBytesPerSecond: 32e9,
  linkBytesPerSecond: 300e9,
  allReduce: [],
};

/**
 * NVIDIA L40S 48 GB. Rates: NVIDIA L40S datasheet (362 / 733 TFLOP/s dense, 864 GB/s, PCIe 4.0 x16, no NVLink). Shares are those of the
 * H100, GEMM and attention lowered: not measured.
 */
export const L40S: DeviceSpec = {
  ...H100_SXM,
  name: 'L40S-48GB',
  memoryTotalBytes: 44.4 * GIB,
  hbmBytesPerSecond: 0.864e12,
  bf16FlopsPerSecond: 362.05e12,
  fp8FlopsPerSecond: 733e12,
  pcieBytesPerSecond: 32e9,
  linkBytesPerSecond: 32e9,
  efficiency: { ...H100_SXM.efficiency, gemmBf16: 0.65, prefillAttention: 0.5 },
  allReduce: [],
};

/** Devices by name, as scenarios write them. */
export const DEVICES: readonly DeviceSpec[] = [H100_SXM, H100_PCIE, A100_SXM, L40S];

/** A device that nobody knows. The message lists the known ones. */
export class DeviceError extends Error {
  constructor(name: string) {
    super(`device ${JSON.stringify(name)}: unknown; known: ${DEVICES.map((device) => device.name).join(', ')}`);
    this.name = 'DeviceError';
  }
}

/** The device of this name; case, spaces and underscores do not matter, and the memory size may be left out. Throws DeviceError. */
export function deviceSpec(name: string): DeviceSpec {
  const wanted = normal(name);
  for (const device of DEVICES) {
    const known = normal(device.name);
    if (known === wanted || known.replace(/-\d+gb$/, '') === wanted) return device;
  }
  throw new DeviceError(name);
}

function normal(name: string): string {
  return name
    .toLowerCase()
    .trim()
    .replace(/[\s_]+/g, '-');
}

/**
 * Time of one all-reduce of `elements` 16-bit numbers over `gpus` GPUs, ns; 0 for one GPU. Measured table where there is one, else a ring:
 * 2 (n - 1) / n of the message over the link at 70 % (NCCL's bus bandwidth model), plus 5 us.
 */
export function allReduceNs(device: DeviceSpec, gpus: number, elements: number): number {
  if (gpus === 1) return 0;
  const table = device.allReduce.find((entry) => entry.gpus === gpus);
  if (table === undefined) {
    return 5000 + (((2 * (gpus - 1)) / gpus) * 2 * elements * 1e9) / (0.7 * device.linkBytesPerSecond);
  }
  const { elements: sizes, ns } = table;
  if (elements <= sizes[0]!) return ns[0]!;
  let i = 1;
  while (i < sizes.length - 1 && elements > sizes[i]!) i++;
  const slope = (ns[i]! - ns[i - 1]!) / (sizes[i]! - sizes[i - 1]!);
  return ns[i - 1]! + slope * (elements - sizes[i - 1]!);
}
