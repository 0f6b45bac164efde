import { NONE } from './ids.ts';
import type { Sequence } from './sequence.ts';
import type { DraftProposer } from './speculation.ts';
import type { SpeculationController } from './speculation-controller.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * Drafts for a decoding sequence, into the plan's next row; 0 for one that is prefilling. NONE: its last token is still
 * in flight, so it joins every other step.
 */
export function proposeDrafts(
  plan: StepPlan,
  sequence: Sequence,
  proposer: DraftProposer,
  speculation: SpeculationController,
): number {
  if (sequence.outputTokens === 0 || !sequence.canDraft) return 0;
  if (sequence.placeholders > 0) return NONE;
  if (sequence.computedTokens !== sequence.knownTokens - 1) return 0;
  const draftsMax = plan.draftTokensMax;
  const drafts = proposer.propose(sequence, draftsMax, plan.draftIds, plan.rows * draftsMax);
  speculation.offer(drafts);
  return drafts;
}

/** Drafts that are left after the budget has cut the row. */
export function keptDrafts(
  sequence: Sequence,
  tokens: number,
  drafts: number,
  speculation: SpeculationController,
): number {
  const kept = Math.max(0, tokens + sequence.computedTokens - sequence.knownTokens - sequence.placeholders);
  if (kept < drafts) speculation.discard(drafts - kept);
  return kept;
}
