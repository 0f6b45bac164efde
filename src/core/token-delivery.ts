import type { Engine } from './engine.ts';
import { NONE } from './ids.ts';
import type { Sequence } from './sequence.ts';
import type { StepPlan, StepResult } from './step-plan.ts';

/**
 * Hands the tokens of a submission that ended well to its sequences, row by row: accepted drafts and the sampled token are
 * appended, rejected drafts are taken back, sequences that have reached an end leave.
 */
export function deliver(engine: Engine, plan: StepPlan, result: StepResult, endNs: number): void {
  const steps = result.stepsRun;
  let startNs = endNs;
  for (let i = 0; i < steps; i++) startNs -= result.durationsNs[i]!;
  const previousEndNs = engine.lastEndNs;
  engine.lastEndNs = endNs;
  const publishLate = engine.config.stepsInFlight === 2;
  const { impliedTokens } = engine.backend.limits;
  const { events } = engine;
  let gapRows = 0;
  let delivered = 0;
  for (let row = 0; row < plan.rows; row++) {
    const sequence = plan.sequences[row]!;
    const drafts = plan.draftTokens[row]!;
    sequence.inFlight--;
    if (sequence.state === 'finished') {
      if (drafts > 0) engine.scheduler.speculation!.discard(drafts);
      continue;
    }
    sequence.failures = 0;
    if (plan.samples[row] === 0) continue;
    sequence.placeholders -= 1 + drafts;
    let count = steps;
    if (drafts > 0) count = verify(engine, plan, sequence, drafts, result.acceptedDrafts[row]!);
    // The later steps of a run, which the plan did not count.
    else if (steps > 1) sequence.computedTokens += steps - 1;
    sequence.canDraft = sequence.state === 'running';
    if (count > sequence.outputTokensMax - sequence.outputTokens)
      count = sequence.outputTokensMax - sequence.outputTokens;
    let ended = result.ended[row] === 1;
    if (ended && drafts > 0) count = result.endedTokens[row]!;
    if (!impliedTokens) {
      const kept = keepIds(engine, sequence, result.tokens, row * (plan.draftTokensMax + 1), count);
      ended ||= kept < 0;
      count = kept < 0 ? -kept : kept;
    }
    if (sequence.lastTokenNs === previousEndNs && drafts === 0 && previousEndNs !== NONE) gapRows++;
    else irregularGap(engine, sequence, count, endNs);
    sequence.lastTokenNs = endNs;
    const from = sequence.outputTokens;
    sequence.outputTokens = from + count;
    sequence.knownTokens += count;
    delivered += count;
    sequence.sink.tokens(sequence, from, count);
    if (ended) engine.end(sequence, 'stop', endNs);
    else if (sequence.outputTokens >= sequence.outputTokensMax) engine.end(sequence, 'length', endNs);
    else if (publishLate && sequence.state === 'running') {
      engine.kv.publish(sequence, sequence.computedTokens - sequence.placeholders, engine.stepsDone);
    }
  }
  engine.totals.outputTokens += delivered;
  if (events !== null) {
    const leadNs = previousEndNs === NONE ? 0 : startNs - previousEndNs;
    events.stepFinished(plan, result, startNs, endNs, gapRows, leadNs);
  }
}

/** A first token, or one whose gap is not the step's own length. */
function irregularGap(engine: Engine, sequence: Sequence, count: number, endNs: number): void {
  const { events } = engine;
  if (sequence.firstTokenNs === NONE) {
    sequence.firstTokenNs = endNs;
    if (sequence.siblings !== null) engine.releaseSiblings(sequence, endNs);
    if (count > 1 && events !== null) events.tokenGap(0, count - 1);
  } else if (events !== null) {
    events.tokenGap((endNs - sequence.lastTokenNs) / count, count);
  }
}

/** Books the drafts of a row and takes the rejected ones back; returns the tokens that the row delivers. */
function verify(engine: Engine, plan: StepPlan, sequence: Sequence, drafts: number, accepted: number): number {
  sequence.proposedDraftTokens += drafts;
  sequence.acceptedDraftTokens += accepted;
  engine.scheduler.speculation!.verify(drafts, accepted);
  // One that was preempted and has come back since counts what it computed from its new admission on.
  if (sequence.state === 'running' && sequence.admittedStep <= plan.stepId) {
    sequence.computedTokens -= drafts - accepted;
  }
  return accepted + 1;
}

/**
 * Appends ids[at .. at + count) to the sequence's output, up to a token that ends it (an end-of-sequence or stop id, once the
 * minimum is reached). Returns how many were kept, negated when the last of them ended it.
 */
function keepIds(engine: Engine, sequence: Sequence, ids: Int32Array, at: number, count: number): number {
  const sampling = sequence.request.sampling;
  let output = sequence.output;
  const from = sequence.outputTokens;
  if (output === null || output.length < from + count) {
    const larger = new Int32Array(Math.max(64, 2 * (from + count)));
    if (output !== null) larger.set(output);
    output = larger;
    sequence.output = larger;
  }
  for (let i = 0; i < count; i++) {
    const id = ids[at + i]!;
    output[from + i] = id;
    if (from + i + 1 < sampling.outputTokensMin) continue;
    const isEos = !sampling.ignoreEos && engine.config.eosTokenIds.includes(id);
    if (isEos || sampling.stopTokenIds.includes(id)) return -(i + 1);
  }
  return count;
}
