import { NONE } from './ids.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * Fills `plan.tokenIds` for backends that exchange token ids: row after row, the ids of positions [context, context + new).
 * Known tokens come from prompt and output, drafts from `draftIds`; NONE stands for a token that the step in flight will
 * sample, which the device takes from its own last sample of the slot. Done once the plan's rows are final, so that rows
 * taken out again cost nothing.
 */
export function fillTokenIds(plan: StepPlan): void {
  const ids = plan.tokenIds;
  let at = 0;
  for (let row = 0; row < plan.rows; row++) {
    const sequence = plan.sequences[row]!;
    const drafts = plan.draftTokens[row]!;
    const prompt = sequence.promptTokens;
    const known = sequence.knownTokens;
    const output = sequence.output;
    let position = plan.contextTokens[row]!;
    const end = position + plan.newTokens[row]! - drafts;
    if (position < prompt) {
      const count = Math.min(end, prompt) - position;
      sequence.request.prompt.copy(position, count, ids, at);
      position += count;
      at += count;
    }
    for (; position < end; position++) ids[at++] = position < known ? output![position - prompt]! : NONE;
    const draftAt = row * plan.draftTokensMax;
    for (let i = 0; i < drafts; i++) ids[at++] = plan.draftIds[draftAt + i]!;
  }
}
