import type { StepPlan, StepResult } from './step-plan.ts';

/** What a device can hold and do; read once, when the engine is made. */
export interface BackendLimits {
  /** KV blocks on the device. */
  readonly blocksTotal: number;
  /** KV blocks in host memory for swapping; 0 = no swap. */
  readonly hostBlocksTotal: number;
  /** Submissions that may be out at once: 1, or 2 to plan step N + 1 before the tokens of step N are known. */
  readonly stepsInFlightMax: number;
  /** Longest run of decode steps in one submission; 1 for real devices. */
  readonly stepsMax: number;
  /** True when token ids are never exchanged: positions after a prompt are defined by an endless `TokenSource`. */
  readonly impliedTokens: boolean;
  /**
   * True when a step writes the KV of all its rows before it reads any (per layer), so that one row may use blocks that
   * another row of the same step computes.
   */
  readonly sameStepPrefixReads: boolean;
}

/** Log-probabilities of tokens that a backend has sampled. */
export interface LogprobSource {
  /** Writes the chosen token's log-probability to floats[at] and those of `top` alternatives behind it; their ids to ids[idsAt ..]. */
  fill(
    token: number,
    previous: number,
    top: number,
    floats: Float64Array,
    at: number,
    ids: Int32Array,
    idsAt: number,
  ): void;
}

/** Told when a submission has ended. Never called before `submit` has returned. */
export interface StepDone {
  stepDone(plan: StepPlan, result: StepResult): void;
}

/** GPU figures; nobody else invents any. One entry per GPU, allocated by the reader. Missing figures are NaN. */
export interface Telemetry {
  readonly gpus: GpuTelemetry[];
}

export interface GpuTelemetry {
  memoryTotalBytes: number;
  memoryUsedBytes: number;
  modelBytes: number;
  kvCacheBytes: number;
  activationBytes: number;
  /** Since the last reading, 0 .. 100. */
  computeUtilizationPercent: number;
  memoryBandwidthUtilizationPercent: number;
  healthy: boolean;
}

/**
 * A device that runs step plans in the order in which they were submitted: copies and swaps of a plan first, in their
 * order, then its rows. It owns plan and result from `submit` until `done`; the engine has reset the result (status ok, no
 * drafts accepted, nobody ended) before.
 *
 * When a submission fails, those already out behind it must come back failed as well, since they may have read what was
 * never written: as transient, or as device-lost when the device is.
 *
 * With two submissions out, a row may belong to a sequence that ended in the step before. Its result counts for nothing, and
 * `ended` = 1 with `endedTokens` = 0 is allowed for it.
 */
export interface Backend {
  readonly limits: BackendLimits;
  submit(plan: StepPlan, result: StepResult, done: StepDone): void;
  telemetry(into: Telemetry): void;
  close(): void;
}
