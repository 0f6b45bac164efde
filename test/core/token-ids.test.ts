import { expect, test } from 'vitest';
import { ArrayTokens, NO_SINK, NONE, Request, Sequence, StepPlan } from '../../src/core/index.ts';
import { fillTokenIds } from '../../src/core/token-ids.ts';

const SHAPE = { sequencesMax: 4, tokensPerStepMax: 16, draftTokensMax: 3, stepsMax: 1, tokenIds: true };

function sequence(prompt: number[], output: number[]): Sequence {
  const made = new Sequence(
    new Request(0, 0, { prompt: new ArrayTokens(Int32Array.from(prompt)), outputTokensMax: 100 }),
    0,
    NO_SINK,
    0,
    null,
    1000,
  );
  made.output = Int32Array.from(output);
  made.outputTokens = output.length;
  made.knownTokens += output.length;
  return made;
}

function addRow(plan: StepPlan, of: Sequence, context: number, tokens: number, drafts: number[] = []): void {
  const row = plan.rows++;
  plan.sequences[row] = of;
  plan.contextTokens[row] = context;
  plan.newTokens[row] = tokens + drafts.length;
  plan.draftTokens[row] = drafts.length;
  plan.draftIds.set(drafts, row * plan.draftTokensMax);
}

test('ids of all rows, one after the other: prompt, output, drafts', () => {
  const plan = new StepPlan(SHAPE);
  const one = sequence([10, 11, 12, 13], [20, 21]);
  addRow(plan, one, 1, 2);
  addRow(plan, one, 2, 4);
  addRow(plan, one, 5, 1, [31, 32]);
  fillTokenIds(plan);
  expect([...plan.tokenIds.subarray(0, 9)]).toEqual([11, 12, 12, 13, 20, 21, 21, 31, 32]);
});

test('a token that the step in flight will sample is NONE', () => {
  const plan = new StepPlan(SHAPE);
  addRow(plan, sequence([10, 11], [20]), 3, 1);
  addRow(plan, sequence([12, 13], []), 2, 1);
  addRow(plan, sequence([14], []), 0, 1);
  fillTokenIds(plan);
  expect([...plan.tokenIds.subarray(0, 3)]).toEqual([NONE, NONE, 14]);
});
