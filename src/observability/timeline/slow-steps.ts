import {
  type Engine,
  EventFanout,
  type HostPhase,
  type StepPlan,
  type StepResult,
  type WaitReason,
} from '../../core/index.ts';
import { StepRecords } from './step-records.ts';
import { TimelineBuffer } from './timeline-buffer.ts';
import { ROW_WORDS, STEP_WORDS } from './timeline-codes.ts';

/** Steps that were slow, as plain values. */
export interface SlowStepsReport {
  /** A step is slow when it takes this many times the median. */
  readonly factor: number;
  /** Of the last steps; null before there are enough. */
  readonly medianNs: number | null;
  /** Steps seen. */
  readonly steps: number;
  /** Oldest first: each a record of a step with all its rows (`readTimeline`), and the median when it ended. */
  readonly slow: readonly { readonly words: Float64Array; readonly medianNs: number }[];
}

/** Steps that the median is taken of, after how many it is taken anew, and how many there must be. */
const WINDOW = 255;
const RENEW = 32;
const STEPS_MIN = 32;
const KEPT_MAX = 32;

/** Keeps the last steps that took much longer than usual, with what was in them. Costs nothing that grows with the batch. */
export class SlowSteps extends EventFanout {
  private readonly factor: number;
  private readonly durationsNs = new Float64Array(WINDOW);
  private readonly sorted = new Float64Array(WINDOW);
  private count = 0;
  private medianNs = Number.POSITIVE_INFINITY;
  private readonly slow: { words: Float64Array; medianNs: number }[] = [];
  private records: StepRecords | null = null;

  constructor(factor: number) {
    super([]);
    this.factor = factor;
  }

  /** Once, before the first request. */
  attach(engine: Engine): void {
    const words = new Float64Array(STEP_WORDS + ROW_WORDS * engine.config.sequencesMax);
    const buffer = new TimelineBuffer(words, (full, length) => {
      this.slow.push({ words: full.slice(0, length), medianNs: this.medianNs });
      if (this.slow.length > KEPT_MAX) this.slow.shift();
      return full;
    });
    this.records = new StepRecords(buffer, engine, true);
    this.flush = () => buffer.flush();
  }

  override stepPlanned(plan: StepPlan, waiting: number, swapped: number, reason: WaitReason | null): void {
    this.records!.planned(plan, waiting, swapped, reason);
  }

  override evicted(_blocks: Int32Array, count: number): void {
    this.records!.evictions += count;
  }

  override hostPhase(phase: HostPhase, ns: number): void {
    this.records!.phase(phase, ns);
  }

  override stepFinished(plan: StepPlan, result: StepResult, startNs: number, endNs: number): void {
    if (result.status !== 'ok') return;
    const ns = (endNs - startNs) / result.stepsRun;
    if (ns > this.factor * this.medianNs) {
      this.records!.finished(plan, result, startNs, endNs);
      this.flush();
    }
    this.durationsNs[this.count++ % WINDOW] = ns;
    if (this.count % RENEW === 0 && this.count >= STEPS_MIN) this.renew();
  }

  report(): SlowStepsReport {
    const medianNs = Number.isFinite(this.medianNs) ? this.medianNs : null;
    return { factor: this.factor, medianNs, steps: this.count, slow: [...this.slow] };
  }

  private flush: () => void = () => {};

  private renew(): void {
    const many = Math.min(this.count, WINDOW);
    const sorted = this.sorted.subarray(0, many);
    sorted.set(this.durationsNs.subarray(0, many));
    sorted.sort();
    this.medianNs = sorted[many >> 1]!;
  }
}
