import type { FinishReason, PreemptionReason, RejectionReason, WaitReason } from '../../core/index.ts';

/** Where the time of a request went; the parts add up to all of it. */
export const STORY_PARTS = ['queue', 'prefill', 'interference', 'decode', 'preempted'] as const;
export type StoryPart = (typeof STORY_PARTS)[number];
export type PartsMs = Readonly<Record<StoryPart, number>>;

/** `step-in-flight`: it came while a step was running, and no plan was made before that had ended. */
export type StoryWaitReason = WaitReason | 'step-in-flight';

export interface StoryWait {
  readonly reason: StoryWaitReason;
  /** Whether it was its turn; otherwise the one at the head of the queue lacked that, and it stood behind. */
  readonly atHead: boolean;
  readonly ms: number;
}

/** Who had the blocks when it began to wait. */
export interface StoryHolders {
  readonly atMs: number;
  readonly blocksTotal: number;
  /** null = not recorded. */
  readonly blocksUsed: number | null;
  readonly running: number;
  /** The largest, most blocks first; shared blocks count for each of them. */
  readonly top: readonly {
    readonly request: string;
    readonly blocks: number;
    readonly tokens: number;
    readonly runningMs: number;
  }[];
}

export interface StoryPreemption {
  readonly atMs: number;
  readonly reason: PreemptionReason;
  readonly how: 'recompute' | 'swap';
  readonly madeRoomFor: string;
  readonly lostTokens: number;
  /** Until it was back in the batch, and until it had its next token; null = it never was. */
  readonly awayMs: number | null;
  readonly untilTokenMs: number | null;
}

export interface StoryChunk {
  readonly step: number;
  readonly atMs: number;
  readonly ms: number;
  readonly tokens: number;
  /** Prompt tokens of others in the same step, and rows that decoded. */
  readonly othersTokens: number;
  readonly decodeRows: number;
}

/** What happened to one sequence of a request. Times are milliseconds since its arrival, but for `arrivalSeconds`. */
export interface RequestStory {
  readonly request: string;
  readonly state: 'waiting' | 'running' | 'preempted' | 'finished' | 'rejected';
  /** False where records begin after its arrival, or end before its end. */
  readonly complete: boolean;
  /** Since the run or the engine began. */
  readonly arrivalSeconds: number;
  readonly promptTokens: number;
  readonly outputTokensMax: number;
  /** null = not known yet. */
  readonly outputTokens: number | null;
  readonly aheadInQueue: number;
  readonly rejection: RejectionReason | null;
  readonly finishReason: FinishReason | null;
  readonly queueMs: number | null;
  readonly cachedTokens: number;
  readonly ttftMs: number | null;
  /** From arrival to its end, or to the end of the records. */
  readonly totalMs: number;
  readonly partsOfTtft: PartsMs | null;
  readonly parts: PartsMs;
  readonly waits: readonly StoryWait[];
  readonly holders: StoryHolders | null;
  /** Of its prompt, the first ones; and all that there were. */
  readonly chunks: readonly StoryChunk[];
  readonly chunksTotal: number;
  readonly preemptions: readonly StoryPreemption[];
  readonly steps: {
    readonly decode: number;
    /** Of these, with prompts of others in them. */
    readonly mixed: number;
    /** In the batch, but not in the step, before its first token. */
    readonly leftOut: number;
    readonly failed: number;
  };
}
