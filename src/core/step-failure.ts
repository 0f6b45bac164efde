import type { Engine } from './engine.ts';
import { NONE } from './ids.ts';
import type { Sequence } from './sequence.ts';
import type { StepPlan, StepResult } from './step-plan.ts';
import { revertRow } from './step-rows.ts';

/**
 * Undoes a submission that failed. transient: its work is tried again, and a sequence whose steps failed `failuresMax` times
 * in a row ends as error. sticky: its sequences end as error. device-lost: every sequence does.
 */
export function failStep(engine: Engine, plan: StepPlan, result: StepResult, nowNs: number): void {
  for (let row = 0; row < plan.rows; row++) {
    const sequence = plan.sequences[row]!;
    const drafts = plan.draftTokens[row]!;
    const samples = plan.samples[row] === 1;
    if (sequence.state === 'running' && sequence.admittedStep <= plan.stepId) {
      revertRow(sequence, plan.newTokens[row]!, drafts, samples);
    } else {
      sequence.inFlight--;
      if (samples) sequence.placeholders -= 1 + drafts;
    }
    if (drafts > 0) engine.scheduler.speculation!.discard(drafts);
  }
  loseSwaps(engine, plan, nowNs);
  for (let row = 0; row < plan.rows; row++) {
    const sequence = plan.sequences[row]!;
    if (sequence.state === 'running') recover(engine, plan, sequence, result, nowNs);
    else if (result.status !== 'transient') engine.end(sequence, 'error', nowNs);
  }
  // Those who left while the step was in flight had published as well.
  engine.kv.unpublishStep(plan.stepId, engine.scheduler.running);
  if (result.status === 'device-lost') {
    for (const leader of [...engine.requests.values()]) {
      if (leader.siblings !== null) for (const sibling of leader.siblings) engine.end(sibling, 'error', nowNs);
      engine.end(leader, 'error', nowNs);
    }
    engine.kv.resetPrefixCache();
  }
}

/** What the step would have written is not there: un-published, and what it would have copied in is computed again. */
function recover(engine: Engine, plan: StepPlan, sequence: Sequence, result: StepResult, nowNs: number): void {
  engine.kv.unpublish(sequence, sequence.computedTokens);
  sequence.failures++;
  if (result.status !== 'transient' || sequence.failures > engine.config.failuresMax) {
    engine.end(sequence, 'error', nowNs);
  } else if (sequence.admittedStep >= plan.stepId) {
    // Its hits, copies or swapped blocks may hang on this very step.
    engine.scheduler.removeRunning(sequence);
    engine.scheduler.requeue(sequence, false, engine.stepsDone, nowNs);
  }
}

/** Sequences that this submission was to swap out lost their KV: they are computed again. */
function loseSwaps(engine: Engine, plan: StepPlan, nowNs: number): void {
  if (plan.swapOutCount === 0) return;
  const swapped = engine.scheduler.swapped;
  const all = new Array<Sequence>(swapped.size);
  swapped.takeInOrder(swapped.size, all);
  for (const sequence of all) {
    if (!isSwappedBy(plan, sequence)) continue;
    swapped.remove(sequence);
    sequence.waitedNs += nowNs - sequence.waitingSinceNs;
    engine.scheduler.requeue(sequence, false, engine.stepsDone, nowNs);
  }
}

function isSwappedBy(plan: StepPlan, sequence: Sequence): boolean {
  const first = sequence.hostBlocks === null || sequence.hostBlocks.length === 0 ? NONE : sequence.hostBlocks[0]!;
  for (let i = 0; i < plan.swapOutCount; i++) if (plan.swapOut[2 * i + 1] === first) return true;
  return false;
}
