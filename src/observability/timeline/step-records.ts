import {
  type Engine,
  HOST_PHASES,
  type HostPhase,
  NONE,
  type Sequence,
  STEP_STATUSES,
  type StepPlan,
  type StepResult,
  WAIT_REASONS,
  type WaitReason,
} from '../../core/index.ts';
import type { TimelineBuffer } from './timeline-buffer.ts';
import { CODE, PLAN_WORDS, ROW_WORDS, STEP_WORDS } from './timeline-codes.ts';

/** Steps in flight at most, and room to spare for one that nobody saw end. */
const PLANS = 4;
const NEVER = Number.POSITIVE_INFINITY;

/** Writes the records of steps: keeps what is known when one is planned until it has ended. */
export class StepRecords {
  /** Admitted, and without a token since. */
  readonly prefilling = new Set<Sequence>();
  /** Cached blocks that lost their content since the last plan. */
  evictions = 0;
  private readonly buffer: TimelineBuffer;
  private readonly engine: Engine;
  private readonly allRows: boolean;
  private readonly phasesNs: number[] = HOST_PHASES.map(() => 0);
  /** Per plan: its step, then PLAN_WORDS words. */
  private readonly plans = new Float64Array(PLANS * (1 + PLAN_WORDS)).fill(NONE);
  private next = 0;

  constructor(buffer: TimelineBuffer, engine: Engine, allRows: boolean) {
    this.buffer = buffer;
    this.engine = engine;
    this.allRows = allRows;
  }

  /** Collecting comes first; what was told before it were phases of the later steps of a run. */
  phase(phase: HostPhase, ns: number): void {
    if (phase === 'collect_finished') this.phasesNs.fill(0);
    this.phasesNs[HOST_PHASES.indexOf(phase)]! += ns;
  }

  planned(plan: StepPlan, waiting: number, swapped: number, reason: WaitReason | null): void {
    const { scheduler } = this.engine;
    const head = waiting + swapped > 0 ? (scheduler.swapped.peek() ?? scheduler.waiting.peek()) : null;
    const words = this.plans;
    let at = this.next * (1 + PLAN_WORDS);
    this.next = (this.next + 1) % PLANS;
    words[at++] = plan.stepId;
    words[at++] = scheduler.running.length;
    words[at++] = waiting;
    words[at++] = swapped;
    words[at++] = reason === null ? NONE : WAIT_REASONS.indexOf(reason);
    words[at++] = head === null ? NONE : head.request.id;
    words[at++] = head === null ? NONE : head.index;
    words[at++] = this.evictions;
    for (let i = 0; i < this.phasesNs.length; i++) {
      words[at++] = this.phasesNs[i]!;
      this.phasesNs[i] = 0;
    }
    this.evictions = 0;
  }

  finished(plan: StepPlan, result: StepResult, startNs: number, endNs: number): void {
    const rows = this.rowsOf(plan);
    const { buffer, engine } = this;
    let at = buffer.begin(CODE.step, STEP_WORDS + ROW_WORDS * rows);
    const { words } = buffer;
    words[at++] = plan.stepId;
    words[at++] = result.stepsRun;
    words[at++] = STEP_STATUSES.indexOf(result.status);
    words[at++] = plan.plannedNs;
    words[at++] = startNs;
    words[at++] = endNs;
    words[at++] = plan.hostNs;
    words[at++] = plan.decodeRows;
    words[at++] = plan.prefillRows;
    words[at++] = plan.decodeTokens;
    words[at++] = plan.prefillTokens;
    words[at++] = plan.newBlockCount;
    words[at++] = engine.kv.pool.used;
    words[at++] = engine.kv.blocksCached;
    this.copyPlan(plan.stepId, words, at);
    if (rows > 0) this.writeRows(words, at + PLAN_WORDS, plan, result.status === 'ok' ? endNs : NEVER);
  }

  private rowsOf(plan: StepPlan): number {
    if (this.allRows) return plan.rows;
    const { prefilling } = this;
    if (prefilling.size === 0) return 0;
    let rows = 0;
    for (let row = 0; row < plan.rows; row++) if (prefilling.has(plan.sequences[row]!)) rows++;
    return rows;
  }

  /** What was known of a step when it was planned; NONE when that was before anybody listened. */
  private copyPlan(step: number, into: Float64Array, at: number): void {
    const { plans } = this;
    for (let plan = 0; plan < PLANS; plan++) {
      const from = plan * (1 + PLAN_WORDS);
      if (plans[from] !== step) continue;
      for (let i = 0; i < PLAN_WORDS; i++) into[at + i] = plans[from + 1 + i]!;
      return;
    }
    into.fill(NONE, at, at + PLAN_WORDS);
  }

  private writeRows(words: Float64Array, from: number, plan: StepPlan, endNs: number): void {
    const { prefilling, allRows } = this;
    let at = from;
    for (let row = 0; row < plan.rows; row++) {
      const sequence = plan.sequences[row]!;
      const prefills = prefilling.size > 0 && prefilling.has(sequence);
      if (!allRows && !prefills) continue;
      // One that ended as the step did got no token of it.
      const samples = plan.samples[row] === 1 && sequence.lastTokenNs === endNs;
      words[at++] = sequence.request.id;
      words[at++] = sequence.index;
      words[at++] = plan.contextTokens[row]!;
      words[at++] = plan.newTokens[row]!;
      words[at++] = (prefills ? 1 : 0) + (samples ? 2 : 0);
      if (prefills && samples) prefilling.delete(sequence);
    }
  }
}
