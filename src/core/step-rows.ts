import type { KvCache } from './kv-cache.ts';
import type { Sequence } from './sequence.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * Appends a row: `tokens` tokens of the sequence, the last `drafts` of which are drafts. Blocks are reserved already.
 * Advances the sequence to what it will be when the step has ended, keeps its accounts, and publishes full blocks.
 */
export function addRow(plan: StepPlan, kv: KvCache, sequence: Sequence, tokens: number, drafts: number): void {
  const row = plan.rows++;
  const context = sequence.computedTokens;
  const after = context + tokens;
  const expected = sequence.knownTokens + sequence.placeholders;
  const samples = after - drafts >= expected;
  plan.sequences[row] = sequence;
  plan.slots[row] = sequence.slot;
  plan.contextTokens[row] = context;
  plan.newTokens[row] = tokens;
  plan.draftTokens[row] = drafts;
  plan.samples[row] = samples ? 1 : 0;
  countRow(plan, context, tokens, drafts, samples);
  sequence.computedTokens = after;
  sequence.inFlight++;
  sequence.lastStep = plan.stepId;
  if (samples) sequence.placeholders += 1 + drafts;
  if (context < sequence.promptTokens || context < sequence.computedTokensPeak)
    account(sequence, context, after - drafts);
  const known = after < sequence.knownTokens ? after : sequence.knownTokens;
  if ((sequence.cacheBlocks + 1) * kv.blockSize <= known) kv.publish(sequence, known, plan.stepId);
}

/**
 * Whether a running sequence computes just its last known token, with room for it and nothing to account for: what nearly
 * every row of nearly every step is.
 */
export function isPlainDecode(sequence: Sequence, lookahead: number, modelLenMax: number): boolean {
  const computed = sequence.computedTokens;
  return (
    computed + 1 === sequence.knownTokens &&
    sequence.placeholders === 0 &&
    computed + 1 + lookahead <= sequence.capacityTokens &&
    computed >= sequence.promptTokens &&
    computed >= sequence.computedTokensPeak &&
    computed + 2 <= modelLenMax
  );
}

/** `addRow` of a plain decode. */
export function addDecodeRow(plan: StepPlan, kv: KvCache, sequence: Sequence): void {
  const row = plan.rows++;
  const context = sequence.computedTokens;
  const after = context + 1;
  plan.sequences[row] = sequence;
  plan.slots[row] = sequence.slot;
  plan.contextTokens[row] = context;
  plan.newTokens[row] = 1;
  plan.draftTokens[row] = 0;
  plan.samples[row] = 1;
  plan.sampledRows++;
  plan.decodeRows++;
  plan.decodeTokens++;
  plan.decodeContextTokens += context;
  if (after > plan.contextTokensMax) plan.contextTokensMax = after;
  sequence.computedTokens = after;
  sequence.inFlight++;
  sequence.lastStep = plan.stepId;
  sequence.placeholders = 1;
  if ((sequence.cacheBlocks + 1) * kv.blockSize <= after) kv.publish(sequence, after, plan.stepId);
}

function countRow(plan: StepPlan, context: number, tokens: number, drafts: number, samples: boolean): void {
  if (samples) plan.sampledRows++;
  if (tokens - drafts === 1 && samples) {
    plan.decodeRows++;
    plan.decodeTokens += tokens;
    plan.decodeContextTokens += context;
  } else {
    plan.prefillRows++;
    plan.prefillTokens += tokens;
    plan.prefillContextTokens += context;
    plan.prefillAttentionPairs += tokens * (context + (tokens + 1) / 2);
  }
  if (context + tokens > plan.contextTokensMax) plan.contextTokensMax = context + tokens;
}

/** Books of computed[from, to): first coverage of the prompt, or computing again what was lost. */
function account(sequence: Sequence, from: number, to: number): void {
  const prompt = sequence.promptTokens;
  const redo = Math.min(to, sequence.computedTokensPeak);
  sequence.scheduledPromptTokens += Math.min(to, prompt) - Math.min(from, prompt);
  if (redo > from) {
    const redonePrompt = Math.min(redo, prompt) - Math.min(from, prompt);
    sequence.recomputedPromptTokens += redonePrompt;
    sequence.recomputedOutputTokens += redo - from - redonePrompt;
  }
}

/** What is computed is about to be lost: scheduling it again will count as recomputation. */
export function accountLoss(sequence: Sequence, drafts: number): void {
  const computed = sequence.computedTokens - drafts;
  if (computed > sequence.computedTokensPeak) sequence.computedTokensPeak = computed;
}

/** Books of a hit of tokens [0, hit) at an admission: prompt tokens that nobody had covered yet count as cached. */
export function accountHit(sequence: Sequence, hit: number): void {
  const prompt = sequence.promptTokens;
  const peak = sequence.computedTokensPeak;
  if (hit <= peak) return;
  sequence.cachedPromptTokens += Math.min(hit, prompt) - Math.min(peak, prompt);
  sequence.computedTokensPeak = hit;
}

/**
 * Takes a row out of a plan that is not submitted yet (its sequence is preempted for a more urgent one) and hands back
 * what it took; returns its tokens. Blocks that the row would have filled are un-published: nobody will compute them.
 */
export function removeRow(plan: StepPlan, kv: KvCache, row: number, lastStep: number): number {
  const sequence = plan.sequences[row]!;
  const tokens = plan.newTokens[row]!;
  const drafts = plan.draftTokens[row]!;
  revertRow(sequence, tokens, drafts, plan.samples[row] === 1);
  sequence.lastStep = lastStep;
  kv.unplanned(sequence);
  plan.rows--;
  for (let i = row; i < plan.rows; i++) {
    plan.sequences[i] = plan.sequences[i + 1]!;
    plan.slots[i] = plan.slots[i + 1]!;
    plan.contextTokens[i] = plan.contextTokens[i + 1]!;
    plan.newTokens[i] = plan.newTokens[i + 1]!;
    plan.draftTokens[i] = plan.draftTokens[i + 1]!;
    plan.samples[i] = plan.samples[i + 1]!;
  }
  plan.draftIds.copyWithin(row * plan.draftTokensMax, (row + 1) * plan.draftTokensMax);
  plan.sequences[plan.rows] = null;
  plan.dropNewBlocks(sequence.slot);
  plan.resetSums();
  for (let i = 0; i < plan.rows; i++) {
    countRow(plan, plan.contextTokens[i]!, plan.newTokens[i]!, plan.draftTokens[i]!, plan.samples[i] === 1);
  }
  return tokens;
}

/** Undoes `addRow` on the sequence (its books keep what was scheduled; computing it again counts as recomputation). */
export function revertRow(sequence: Sequence, tokens: number, drafts: number, samples: boolean): void {
  accountLoss(sequence, drafts);
  sequence.computedTokens -= tokens;
  sequence.inFlight--;
  if (samples) sequence.placeholders -= 1 + drafts;
}
