import { NONE } from './ids.ts';
import type { RunGrowth } from './run-growth.ts';
import type { Scheduler } from './scheduler.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * Steps for which the batch of a plan surely stays as it is, at most `stepsMax`, up to arrivals and ends that only the backend
 * knows. `lastEndNs`: when the last submission ended; NONE before the first. A sequence without a token is never in a run: its
 * first token would be dated at the run's end.
 */
export function runLength(
  plan: StepPlan,
  scheduler: Scheduler,
  growth: RunGrowth,
  stepsMax: number,
  lastEndNs: number,
): number {
  if (stepsMax === 1 || plan.decodeRows !== plan.rows || plan.rows !== scheduler.running.length) return 1;
  if (scheduler.swapped.size > 0 || lastEndNs === NONE) return 1;
  // Whoever waits must wait for a place in the batch: blocks and budgets may change inside a run.
  if (scheduler.waiting.size > 0 && scheduler.running.length < scheduler.config.sequencesMax) return 1;
  let steps = stepsMax;
  for (let row = 0; row < plan.rows; row++) {
    const sequence = plan.sequences[row]!;
    if (sequence.lastTokenNs !== lastEndNs) return 1;
    const left = sequence.outputTokensMax - sequence.outputTokens;
    if (left < steps) steps = left;
  }
  return growth.stepsThatFit(plan, steps);
}
