import type { FinishReason } from '../../core/index.ts';

/** Stretch in a queue: until it was admitted, or until its end where that never came. Times in the engine's nanoseconds. */
export interface WaitRecord {
  readonly startNs: number;
  readonly endNs: number;
  /** Sequences ahead of it when it began to wait. */
  readonly queuePosition: number;
  /** Preemptions so far. */
  readonly preemptions: number;
  /** What its admission took; null when it was never admitted. */
  readonly admission: AdmissionRecord | null;
}

export interface AdmissionRecord {
  /** Its share of the scheduler's time for admissions in that step. */
  readonly allocationNs: number;
  readonly blocksAllocated: number;
  /** Free blocks that were left. */
  readonly blocksAvailable: number;
  /** Full blocks that the prefix cache had, or that were forked. */
  readonly cachedBlocks: number;
}

/** One chunk of a prefill (several, once there are many), or all decode steps between an admission and the next loss of the batch. */
export interface ForwardRecord {
  readonly phase: 'prefill' | 'decode';
  readonly startNs: number;
  readonly endNs: number;
  /** Time of the device in it. */
  readonly deviceNs: number;
  readonly iterations: number;
  /** Sequences of its batches: fewest, most, and their sum over the iterations. */
  readonly batchMin: number;
  readonly batchMax: number;
  readonly batchSum: number;
  /** Lengths of those sequences after each iteration: their sum, and the longest. */
  readonly lengthsSum: number;
  readonly lengthsMax: number;
  /** Output tokens that it gave this sequence; 0 = its chunk was not the last one. */
  readonly sampledTokens: number;
}

/**
 * What is known of a sequence when it has ended: everything that its spans need. Plain values, so that it may travel between
 * threads. Its size does not grow with the output; NONE stands for what never happened.
 */
export interface SequenceRecord {
  readonly requestId: number;
  /** 0 .. n - 1. */
  readonly index: number;
  /** n: sequences of its request. */
  readonly sequences: number;
  readonly finishReason: FinishReason;
  readonly receivedNs: number;
  readonly firstTokenNs: number;
  readonly lastTokenNs: number;
  readonly finishedNs: number;
  /** Monotonic time of the process when it came and when it had ended; both 0 in virtual time. */
  readonly wallFromNs: number;
  readonly wallToNs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly outputTokensMax: number;
  readonly cachedPromptTokens: number;
  readonly preemptions: number;
  readonly temperature: number;
  readonly topP: number;
  /** First output tokens; null unless asked for. */
  readonly tokenIds: readonly number[] | null;
  readonly waits: readonly WaitRecord[];
  readonly forwards: readonly ForwardRecord[];
}
