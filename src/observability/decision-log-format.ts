/** First field of the first line of every decision log, and the version of what follows. */
export const DECISION_LOG_FORMAT = 'twinfer-decisions';
export const DECISION_LOG_VERSION = 2;

/** First line. `run` describes what decides the run, as plain JSON; docs/DECISION-LOG.md lists its fields. */
export interface DecisionLogHeader {
  readonly format: typeof DECISION_LOG_FORMAT;
  readonly version: typeof DECISION_LOG_VERSION;
  readonly run: Readonly<Record<string, unknown>>;
}

/** A sequence: id of its request and index in it, as `id.index`. */
export type SequenceId = string;

/** Block ids in order: single ids, and [first, last] for ids that follow each other, upwards or downwards. */
export type BlockRange = number | readonly [first: number, last: number];

/** What happened since the line before. Fields without content are left out. */
export interface DecisionEvents {
  arrived?: [id: SequenceId, arrivalNs: number, promptTokens: number, outputTokensMax: number][];
  rejected?: [requestId: number, reason: string][];
  /**
   * In their order, which is the order of rows from then on. hitTokens: where the prefix match ended; prefixEnd: why there;
   * blocks: allocated at once. `resumed`: again, after a preemption; `swapped-in` when it is not computed again.
   */
  admitted?: [id: SequenceId, hitTokens: number, prefixEnd: string, blocks: number, again?: 'resumed' | 'swapped-in'][];
  /** `by`: for whom it made room; lostTokens: to compute again. */
  preempted?: [id: SequenceId, reason: string, how: 'recompute' | 'swap', by: SequenceId, lostTokens: number][];
  evicted?: BlockRange[];
  /** First tokens, and ends, with their times. */
  firstTokens?: [id: SequenceId, ns: number][];
  finished?: [id: SequenceId, reason: string, ns: number, outputTokens: number][];
  /** Submissions that failed. */
  failed?: [step: number, status: string][];
}

/** Who is in a step, as far as it is not the step before it. Fields without content are left out. */
export interface DecisionRows {
  /** Rows of more than one token. */
  prefill?: [id: SequenceId, tokens: number][];
  /** Rows with drafts: their tokens are 1 + drafts. */
  drafts?: [id: SequenceId, drafts: number][];
  /** Rows of one token that had no row in the step before, and the reverse (but for those that finished or were preempted). */
  in?: SequenceId[];
  out?: SequenceId[];
}

/** One step, or `times` steps one after the other that schedule the same and between which nothing happened. */
export interface DecisionStep extends DecisionRows, DecisionEvents {
  step: number;
  times?: number;
  /** When the (first) step was planned, ns since the run began; `lastNs`: the last of `times`. */
  ns: number;
  lastNs?: number;
  /** Number of rows of one token (and drafts): decode, or the last token of a prompt. */
  decode: number;
  /** Blocks appended to tables, over all `times`. */
  newBlocks?: number;
  /** Sequences that wait, and that are swapped out, once the step is planned. */
  waiting?: number;
  swapped?: number;
  /** Whose turn is next, and why it was not taken into this step. id is null when a running sequence waits for blocks in flight. */
  head?: [id: SequenceId | null, reason: string];
}

/** Last line of a complete log, with what happened after the last step. */
export interface DecisionEnd extends DecisionEvents {
  end: true;
  ns: number;
  steps: number;
}

/** Events of a long time without a step, so that they need not be kept. */
export interface DecisionInterlude extends DecisionEvents {
  ns: number;
}

/** Reads the first line of a log; what is wrong with it, as the end of a sentence, when it is none that can be read. */
export function parseDecisionLogHeader(line: string | null): DecisionLogHeader | string {
  let header: Partial<DecisionLogHeader> | null = null;
  try {
    const value: unknown = line === null ? null : JSON.parse(line);
    if (typeof value === 'object') header = value;
  } catch {
    // No JSON: no header.
  }
  if (header?.format !== DECISION_LOG_FORMAT) return 'is no decision log of Twinfer';
  if (header.version === DECISION_LOG_VERSION) return header as DecisionLogHeader;
  return `format version ${JSON.stringify(header.version) ?? 'none'} is not known; allowed: ${DECISION_LOG_VERSION}`;
}

/** Text of the first line, without its end of line. */
export function decisionLogHeader(run: Readonly<Record<string, unknown>>): string {
  const header: DecisionLogHeader = { format: DECISION_LOG_FORMAT, version: DECISION_LOG_VERSION, run };
  return JSON.stringify(header);
}
