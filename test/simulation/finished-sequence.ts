import type { FinishReason } from '../../src/core/index.ts';
import { GREEDY, NO_SINK, Request, type SeqSlot, Sequence, StreamTokens } from '../../src/core/index.ts';

export interface FinishedFields {
  id: number;
  index: number;
  n: number;
  arrivalNs: number;
  admittedNs: number;
  firstTokenNs: number;
  lastTokenNs: number;
  finishedNs: number;
  waitedNs: number;
  promptTokens: number;
  outputTokens: number;
  cachedPromptTokens: number;
  scheduledPromptTokens: number;
  recomputedPromptTokens: number;
  recomputedOutputTokens: number;
  preemptions: number;
  finishReason: FinishReason;
  slot: number;
  blocks: number;
}

/** A completed request: 100 prompt tokens (32 of them cached), 11 output tokens, 10 ms apart. */
export const COMPLETED: FinishedFields = {
  id: 1,
  index: 0,
  n: 1,
  arrivalNs: 1e9,
  admittedNs: 1.005e9,
  firstTokenNs: 1.05e9,
  lastTokenNs: 1.15e9,
  finishedNs: 1.15e9,
  waitedNs: 5e6,
  promptTokens: 100,
  outputTokens: 11,
  cachedPromptTokens: 32,
  scheduledPromptTokens: 68,
  recomputedPromptTokens: 0,
  recomputedOutputTokens: 0,
  preemptions: 0,
  finishReason: 'length',
  slot: 0,
  blocks: 7,
};

/** Refused at the door: nothing happened to it. */
export const REJECTED: FinishedFields = {
  ...COMPLETED,
  admittedNs: -1,
  firstTokenNs: -1,
  lastTokenNs: -1,
  finishedNs: 1e9,
  waitedNs: 0,
  outputTokens: 0,
  cachedPromptTokens: 0,
  scheduledPromptTokens: 0,
  finishReason: 'rejected',
  slot: -1,
  blocks: 0,
};

/** A sequence as it is when the engine reports its end: state set, slot and blocks still held. */
export function finishedSequence(fields: Partial<FinishedFields> = {}, base = COMPLETED): Sequence {
  const all = { ...base, ...fields };
  const sampling = { ...GREEDY, n: all.n };
  const prompt = new StreamTokens(all.promptTokens, all.id);
  const request = new Request(all.id, all.arrivalNs, { prompt, outputTokensMax: 1 + all.outputTokens, sampling });
  const sequence = new Sequence(request, all.index, NO_SINK, all.id, null, 131_072);
  sequence.state = 'finished';
  sequence.admittedNs = all.admittedNs;
  sequence.firstTokenNs = all.firstTokenNs;
  sequence.lastTokenNs = all.lastTokenNs;
  sequence.finishedNs = all.finishedNs;
  sequence.waitedNs = all.waitedNs;
  sequence.outputTokens = all.outputTokens;
  sequence.cachedPromptTokens = all.cachedPromptTokens;
  sequence.scheduledPromptTokens = all.scheduledPromptTokens;
  sequence.recomputedPromptTokens = all.recomputedPromptTokens;
  sequence.recomputedOutputTokens = all.recomputedOutputTokens;
  sequence.preemptions = all.preemptions;
  sequence.finishReason = all.finishReason;
  sequence.slot = all.slot as SeqSlot;
  sequence.blocks = all.blocks;
  return sequence;
}
