import type {
  FinishReason,
  HostPhase,
  PreemptionReason,
  RejectionReason,
  SequenceState,
  StepStatus,
  WaitReason,
} from '../../core/index.ts';

/** A sequence in a record: its request's id, and its index among the request's n sequences. */
export interface SequenceName {
  readonly id: number;
  readonly index: number;
}

/** Recording begins, or begins anew behind records that are gone: `live` records of what is there follow. */
export interface BeginRecord {
  readonly kind: 'begin';
  readonly ns: number;
  readonly blocksTotal: number;
  readonly blockSize: number;
  readonly sequencesMax: number;
}

/** A sequence that was there when recording began. */
export interface LiveRecord extends SequenceName {
  readonly kind: 'live';
  readonly ns: number;
  readonly state: SequenceState;
  /** It has got no token since its last admission. */
  readonly prefilling: boolean;
  readonly arrivalNs: number;
  /** NONE = not yet. */
  readonly admittedNs: number;
  readonly firstTokenNs: number;
  /** Of one that waits: since when. */
  readonly waitingSinceNs: number;
  readonly promptTokens: number;
  readonly outputTokensMax: number;
  readonly priority: number;
  readonly computedTokens: number;
  readonly cachedTokens: number;
  readonly preemptions: number;
}

export interface ReceivedRecord extends SequenceName {
  readonly kind: 'received';
  readonly ns: number;
  readonly arrivalNs: number;
  readonly promptTokens: number;
  readonly outputTokensMax: number;
  readonly priority: number;
}

export interface RejectedRecord {
  readonly kind: 'rejected';
  readonly ns: number;
  readonly id: number;
  readonly reason: RejectionReason;
}

export interface AdmittedRecord extends SequenceName {
  readonly kind: 'admitted';
  readonly ns: number;
  readonly hitTokens: number;
  readonly blocks: number;
  readonly how: 'new' | 'resumed' | 'swapped-in';
}

export interface PreemptedRecord extends SequenceName {
  readonly kind: 'preempted';
  readonly ns: number;
  readonly reason: PreemptionReason;
  readonly swapped: boolean;
  /** Tokens to compute again; 0 when swapped. */
  readonly lostTokens: number;
  /** For whom it made room. */
  readonly by: SequenceName;
}

export interface FinishedRecord extends SequenceName {
  readonly kind: 'finished';
  readonly ns: number;
  readonly reason: FinishReason;
  readonly arrivalNs: number;
  /** NONE = it had none. */
  readonly firstTokenNs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  readonly recomputedTokens: number;
  readonly preemptions: number;
  readonly waitedNs: number;
}

/** A sequence's part of a step. */
export interface StepRow extends SequenceName {
  /** Tokens that were there before. */
  readonly context: number;
  /** Tokens computed, drafts included. */
  readonly tokens: number;
  /** It has got no token since its last admission: a chunk of its prompt, or of what a preemption lost. */
  readonly prefilling: boolean;
  /** The step yields a token for it. */
  readonly samples: boolean;
}

/** A submission that has ended: one step, or a run of decode steps. */
export interface StepRecord {
  readonly kind: 'step';
  /** Number of its first step. */
  readonly step: number;
  readonly stepsRun: number;
  readonly status: StepStatus;
  readonly plannedNs: number;
  readonly startNs: number;
  readonly endNs: number;
  /** Host work for its plan, ns: all of it, and by phase (0 = not measured). */
  readonly hostNs: number;
  readonly hostPhasesNs: Readonly<Record<HostPhase, number>>;
  readonly decodeRows: number;
  readonly prefillRows: number;
  /** Tokens of one step of the run. */
  readonly decodeTokens: number;
  readonly prefillTokens: number;
  readonly newBlocks: number;
  readonly evictions: number;
  /** Once it was planned. */
  readonly running: number;
  readonly waiting: number;
  readonly swapped: number;
  /** Whose turn was next, and why it was not taken; null = nobody waited. */
  readonly head: SequenceName | null;
  readonly waitReason: WaitReason | null;
  /** Blocks when it had ended. */
  readonly blocksUsed: number;
  readonly blocksCached: number;
  /** All rows, or those that prefill: what the recorder was asked for. */
  readonly rows: readonly StepRow[];
}

/** Recording has ended. `complete`: nothing before was left out for want of room. */
export interface EndRecord {
  readonly kind: 'end';
  readonly ns: number;
  readonly complete: boolean;
}

export type TimelineRecord =
  | BeginRecord
  | LiveRecord
  | ReceivedRecord
  | RejectedRecord
  | AdmittedRecord
  | PreemptedRecord
  | FinishedRecord
  | StepRecord
  | EndRecord;
