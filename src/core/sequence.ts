import { NONE, type SeqSlot } from './ids.ts';
import type { Request } from './request.ts';
import type { TokenSink } from './token-sink.ts';

/**
 * `held`: a sibling (n > 1) that waits for its leader's prompt; the others are the queues that a sequence can be in.
 * Exactly one at any time.
 */
export const SEQUENCE_STATES = ['held', 'waiting', 'running', 'swapped', 'finished'] as const;
export type SequenceState = (typeof SEQUENCE_STATES)[number];

/** How a sequence ended; each ends in exactly one. `rejected` never reached a queue. Positions are codes on wires and in digests: append only. */
export const FINISH_REASONS = ['stop', 'length', 'abort', 'rejected', 'timeout', 'error'] as const;
export type FinishReason = (typeof FINISH_REASONS)[number];

/** Where and why the prefix match of an admission ended. */
export type PrefixEnd = 'not-looked-up' | 'disabled' | 'whole-prompt' | 'no-entry' | 'evicted-parent' | 'not-ready';

/**
 * One run of one request: one class, one shape, for its whole life. Token counts:
 *
 *     | prompt (promptTokens) | output (outputTokens, known) | placeholders (planned, not yet known) | drafts |
 *     | computed (KV written or planned) ......................|
 */
export class Sequence {
  // What every step of a decoding sequence reads comes first: the fields of an object lie in the order of their declaration.
  state: SequenceState = 'waiting';
  slot: SeqSlot | typeof NONE = NONE;
  /** Tokens whose KV is written, or will be when the steps in flight end. */
  computedTokens = 0;
  /** Tokens known to the host: prompt and output. */
  knownTokens: number = 0;
  /** Output tokens that steps in flight will deliver. */
  placeholders = 0;
  /** Tokens that its blocks hold. */
  capacityTokens = 0;
  readonly promptTokens: number = 0;
  /** Highest computedTokens that was lost: what is scheduled below it is recomputation. */
  computedTokensPeak = 0;
  /** Steps planned and not yet applied. */
  inFlight = 0;
  /** Id of the last step in which it was planned; NONE before. Its blocks are fenced until that step has ended. */
  lastStep = NONE;
  /** Full blocks published or hit, from the first on, and the node of the last of them: the chain's tip. */
  cacheBlocks = 0;
  cacheNode = NONE;
  /** Steps that failed in a row with this sequence in them. */
  failures = 0;
  /** Whether it has got a token since its last admission: only then drafts follow its text. */
  canDraft = false;
  /** Output tokens known to the host. */
  outputTokens = 0;
  /** Output tokens after which it ends as `length`: the request's limit, cut to what the model's length leaves. */
  readonly outputTokensMax: number = 0;
  /** Nanoseconds since the run began; NONE until it happened. */
  lastTokenNs = NONE;
  readonly sink: TokenSink;
  /** For backends that imply tokens: whether the model may end it before `outputTokensMax`. No policy may look. */
  readonly mayEndItself: boolean = false;
  /** Entries in use of its row of the block table. */
  blocks = 0;

  readonly request: Request;
  /** 0 .. n - 1; the sequence of index 0 leads: it computes the prompt that the others fork. */
  readonly index: number = 0;
  readonly leader: Sequence | null;
  /** Of a leader: the other sequences of its request, or null. */
  siblings: Sequence[] | null = null;
  finishReason: FinishReason | null = null;
  /** Output token ids; null when the backend implies them. Grown by doubling. */
  output: Int32Array | null = null;
  /** Host blocks while swapped out. */
  hostBlocks: Int32Array | null = null;

  /** Id of the step in which it was last admitted or swapped in: what it reads may be computed or copied by that step. */
  admittedStep = NONE;
  /** Step that a failed try to admit it saw, how often blocks had come back by then, and the blocks that it lacked. */
  triedStep = NONE;
  triedReleases = 0;
  blocksWanted = 0;

  /** Position in the engine's order: arrival number, and key of the waiting queue. */
  readonly arrivalOrder: number = 0;
  orderKey = 0;
  heapIndex = NONE;
  /** Index in the running list. */
  runningIndex = NONE;
  /** Times in its life that one behind it in the order was admitted while it waited. */
  bypassed = 0;

  // Further times.
  admittedNs = NONE;
  firstTokenNs = NONE;
  finishedNs = NONE;
  /** When it last began to wait (arrival or preemption), and the waiting time so far. */
  waitingSinceNs: number = 0;
  waitedNs = 0;

  // Accounts.
  preemptions = 0;
  /** Prompt tokens found in the prefix cache (or forked) before anybody had scheduled them. */
  cachedPromptTokens = 0;
  /** Prompt tokens that were scheduled, with repeats after a preemption. */
  scheduledPromptTokens = 0;
  /** Prompt tokens that a preemption or a failed step threw away and that were scheduled again. */
  recomputedPromptTokens = 0;
  /** Generated tokens that were scheduled again for the same reason. */
  recomputedOutputTokens = 0;
  proposedDraftTokens = 0;
  acceptedDraftTokens = 0;
  prefixEnd: PrefixEnd = 'not-looked-up';

  constructor(
    request: Request,
    index: number,
    sink: TokenSink,
    arrivalOrder: number,
    leader: Sequence | null,
    modelLenMax: number,
  ) {
    this.request = request;
    this.mayEndItself = !request.sampling.ignoreEos && request.impliedOutputTokens !== Number.POSITIVE_INFINITY;
    this.knownTokens = request.prompt.length;
    this.outputTokensMax = Math.min(request.outputTokensMax, modelLenMax - request.prompt.length);
    this.index = index;
    this.sink = sink;
    this.promptTokens = request.prompt.length;
    this.leader = leader;
    this.arrivalOrder = arrivalOrder;
    this.waitingSinceNs = request.arrivalNs;
  }
}
