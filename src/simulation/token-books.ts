import { NONE, type Sequence } from '../core/index.ts';

/**
 * Tokens of all sequences, per sequence (siblings of n > 1 count the prompt that they fork as cached). The prompt columns
 * cover the sequences whose prompt was computed to its end, which is to say that delivered a token; the prompts of the others
 * (rejected, or ended before) are in `unfinishedPrompts`. Law, for each covered sequence and so for the sums:
 *
 *     scheduledPrompt = prompt - cachedPrompt + recomputedPrompt
 */
export interface TokenCounts {
  readonly prompt: number;
  /** Found in the prefix cache at the first admission. */
  readonly cachedPrompt: number;
  /** Scheduled again after a preemption or a failed step. */
  readonly recomputedPrompt: number;
  /** Scheduled, repeats included. */
  readonly scheduledPrompt: number;
  /** Generated, by all sequences however they ended. */
  readonly output: number;
  /** Generated tokens whose KV was computed again after a preemption. */
  readonly recomputedOutput: number;
  readonly proposedDrafts: number;
  readonly acceptedDrafts: number;
  readonly unfinishedPrompts: {
    readonly sequences: number;
    readonly prompt: number;
    readonly cachedPrompt: number;
    readonly recomputedPrompt: number;
    readonly scheduledPrompt: number;
  };
  /** Sequences that break the law, and the request of the first of them (-1: none). */
  readonly lawBreakers: number;
  readonly firstLawBreaker: number;
}

/** Keeps the accounts of tokens. Sums are in a typed array: a field that outgrows 31 bits changes its kind in V8. */
export class TokenBooks {
  private readonly sums = new Float64Array(13);
  private lawBreakers = 0;
  private firstLawBreaker = -1;

  add(sequence: Sequence): void {
    const sums = this.sums;
    sums[OUTPUT]! += sequence.outputTokens;
    sums[RECOMPUTED_OUTPUT]! += sequence.recomputedOutputTokens;
    sums[PROPOSED]! += sequence.proposedDraftTokens;
    sums[ACCEPTED]! += sequence.acceptedDraftTokens;
    const { promptTokens, cachedPromptTokens, recomputedPromptTokens, scheduledPromptTokens } = sequence;
    const whole = sequence.firstTokenNs !== NONE;
    const at = whole ? FINISHED : UNFINISHED;
    if (!whole) sums[UNFINISHED_SEQUENCES]!++;
    sums[at]! += promptTokens;
    sums[at + 1]! += cachedPromptTokens;
    sums[at + 2]! += recomputedPromptTokens;
    sums[at + 3]! += scheduledPromptTokens;
    if (whole && scheduledPromptTokens !== promptTokens - cachedPromptTokens + recomputedPromptTokens) {
      if (this.lawBreakers++ === 0) this.firstLawBreaker = sequence.request.id;
    }
  }

  counts(): TokenCounts {
    const sum = (at: number): number => this.sums[at]!;
    return {
      prompt: sum(FINISHED),
      cachedPrompt: sum(FINISHED + 1),
      recomputedPrompt: sum(FINISHED + 2),
      scheduledPrompt: sum(FINISHED + 3),
      output: sum(OUTPUT),
      recomputedOutput: sum(RECOMPUTED_OUTPUT),
      proposedDrafts: sum(PROPOSED),
      acceptedDrafts: sum(ACCEPTED),
      unfinishedPrompts: {
        sequences: sum(UNFINISHED_SEQUENCES),
        prompt: sum(UNFINISHED),
        cachedPrompt: sum(UNFINISHED + 1),
        recomputedPrompt: sum(UNFINISHED + 2),
        scheduledPrompt: sum(UNFINISHED + 3),
      },
      lawBreakers: this.lawBreakers,
      firstLawBreaker: this.firstLawBreaker,
    };
  }
}

const FINISHED = 0;
const UNFINISHED = 4;
const UNFINISHED_SEQUENCES = 8;
const OUTPUT = 9;
const RECOMPUTED_OUTPUT = 10;
const PROPOSED = 11;
const ACCEPTED = 12;
