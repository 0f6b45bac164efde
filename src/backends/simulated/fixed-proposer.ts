import type { DraftProposer, Sequence } from '../../core/index.ts';

/**
 * A draft model that exists as a number: it always offers all drafts asked for. Which of them the target accepts is the
 * acceptance process's to say.
 */
export class FixedProposer implements DraftProposer {
  propose(_sequence: Sequence, draftsMax: number): number {
    return draftsMax;
  }
}
