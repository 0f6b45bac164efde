/**
 * What one step computes, as sums over its rows: a `StepPlan` is one. Names and meanings are those of `StepPlan`; the context of decode rows
 * is passed apart, because it grows inside a run of steps while all else stays.
 */
export interface StepLoad {
  readonly decodeRows: number;
  readonly decodeTokens: number;
  readonly prefillRows: number;
  readonly prefillTokens: number;
  readonly prefillContextTokens: number;
  readonly prefillAttentionPairs: number;
  readonly sampledRows: number;
}

/**
 * How long the device takes. Implementations are pure: same load, same time. All times are whole nanoseconds.
 */
export interface TimingModel {
  /** One forward pass with sampling, launches included; at least 1. O(1) in the batch: called once per step. */
  stepNs(load: StepLoad, decodeContextTokens: number): number;
  /** Device memory traffic of that pass per GPU, bytes: for telemetry only. */
  stepBytes(load: StepLoad, decodeContextTokens: number): number;
  /** Swaps of KV blocks over PCIe, out then in, one after the other; 0 when there are none. */
  swapNs(blocksOut: number, blocksIn: number): number;
  /** Copies of KV blocks on the device; 0 when there are none. */
  copyNs(blocks: number): number;
}
