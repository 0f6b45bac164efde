import {
  type Engine,
  type EngineConfig,
  type EngineEvents,
  type HostPhase,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type Request,
  type Sequence,
  type StepPlan,
  type StepResult,
  type WaitingQueue,
  type WaitReason,
} from '../../core/index.ts';
import type { SequenceRecord } from './sequence-record.ts';
import { SequenceTrail } from './sequence-trail.ts';
import { type StepMark, StepSums } from './step-sums.ts';

/** How far into a queue a preempted sequence is looked for. */
const POSITIONS_LOOKED_AT = 32;

export interface SpanRecorderOptions {
  readonly config: EngineConfig;
  /** Monotonic time of the process, ns; left out where time is virtual. */
  readonly wallNs?: () => number;
  /** Records carry the ids of output tokens: the user's text. */
  readonly tokenIds?: boolean;
  /** Gets one record per sequence, when it has ended. */
  readonly emit: (record: SequenceRecord) => void;
}

/**
 * Keeps what the spans of a request are made of, per live sequence, and hands it out when the sequence ends. Nothing happens per
 * token, and a step costs the same whatever its batch: rows are looked at only while somebody has no token since its admission.
 */
export class SpanRecorder implements EngineEvents {
  private readonly config: EngineConfig;
  private readonly emit: (record: SequenceRecord) => void;
  private readonly wallNs: () => number;
  private readonly tokenIds: boolean;
  private readonly sums: StepSums;
  /** Of live sequences, by their arrival number. */
  private readonly trails = new Map<number, SequenceTrail>();
  /** Of running sequences, by slot. */
  private readonly bySlot: (SequenceTrail | null)[];
  private readonly inPrefill: Uint8Array;
  private prefilling = 0;
  private readonly admittedNow: SequenceTrail[] = [];
  /** Ended by the step that is being delivered, whose sums are not known yet. */
  private readonly ending: SequenceTrail[] = [];
  private lastEndNs = 0;
  private engine: Engine | null = null;
  private readonly scratch: Sequence[] = [];

  constructor(options: SpanRecorderOptions) {
    this.config = options.config;
    this.emit = options.emit;
    this.wallNs = options.wallNs ?? (() => 0);
    this.tokenIds = options.tokenIds ?? false;
    this.sums = new StepSums(options.config.stepsInFlight);
    this.bySlot = new Array<SequenceTrail | null>(options.config.sequencesMax).fill(null);
    this.inPrefill = new Uint8Array(options.config.sequencesMax);
  }

  /** Lets it read queues and free blocks of the engine that it listens to; once, before the first request. */
  attach(engine: Engine): void {
    this.engine = engine;
  }

  /** Sequences that have not ended. */
  get live(): number {
    return this.trails.size + this.ending.length;
  }

  received(sequence: Sequence, _nowNs: number): void {
    const { scheduler, held } = this.engine!;
    const ahead = scheduler.waiting.size + scheduler.swapped.size + held - 1;
    this.trails.set(sequence.arrivalOrder, new SequenceTrail(sequence, ahead, this.wallNs()));
  }

  rejected(_request: Request, _reason: RejectionReason, _nowNs: number): void {}

  admitted(sequence: Sequence, hitTokens: number, blocksAllocated: number, _resumed: boolean, nowNs: number): void {
    const trail = this.trails.get(sequence.arrivalOrder)!;
    // A failed step sends it back to the queue without a word.
    if (trail.stage !== 'waiting') this.leave(trail, 0);
    const blocksAvailable = this.engine!.kv.pool.available;
    const cachedBlocks = Math.floor(hitTokens / this.config.blockSize);
    trail.admitted({ allocationNs: 0, blocksAllocated, blocksAvailable, cachedBlocks }, nowNs);
    const before = this.bySlot[trail.slot]!;
    if (before !== null) this.forgetSlot(before);
    this.bySlot[trail.slot] = trail;
    this.inPrefill[trail.slot] = 1;
    this.prefilling++;
    this.admittedNow.push(trail);
  }

  preempted(sequence: Sequence, _reason: PreemptionReason, swapped: boolean, _nowNs: number): void {
    const { waiting, swapped: swappedOut } = this.engine!.scheduler;
    const queue = swapped ? swappedOut : waiting;
    const ahead = this.ahead(queue, sequence) + (swapped ? 0 : swappedOut.size);
    this.leave(this.trails.get(sequence.arrivalOrder)!, ahead);
  }

  evicted(_blocks: Int32Array, _count: number, _nowNs: number): void {}

  stepPlanned(
    _plan: StepPlan,
    _waiting: number,
    _swapped: number,
    _waitReason: WaitReason | null,
    _nowNs: number,
  ): void {
    this.admittedNow.length = 0;
  }

  hostPhase(phase: HostPhase, ns: number): void {
    if (phase !== 'admit_waiting') return;
    const share = Math.round(ns / Math.max(1, this.admittedNow.length));
    for (const trail of this.admittedNow) if (trail.admission !== null) trail.admission.allocationNs = share;
  }

  stepFinished(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    _gapRows: number,
    _leadNs: number,
  ): void {
    if (result.status === 'ok') {
      const before = this.prefilling > 0 ? this.sums.mark : null;
      this.sums.add(plan, result, startNs);
      this.lastEndNs = endNs;
      if (before !== null) this.look(plan, startNs, endNs, before);
    }
    if (this.ending.length > 0) this.flush();
  }

  tokenGap(_gapNs: number, _count: number): void {}

  finished(sequence: Sequence, nowNs: number): void {
    const trail = this.trails.get(sequence.arrivalOrder) ?? new SequenceTrail(sequence, 0, this.wallNs());
    this.trails.delete(sequence.arrivalOrder);
    if (trail.stage !== 'waiting' && sequence.slot === NONE) this.leave(trail, 0);
    const reason = sequence.finishReason;
    // The step that gave the last token is told after it: then the record is made.
    if ((reason === 'stop' || reason === 'length') && sequence.lastTokenNs === nowNs) this.ending.push(trail);
    else this.close(trail);
  }

  /** Hands out the records of all sequences that have ended. Whoever ends sequences outside of steps calls it afterwards. */
  flush(): void {
    for (const trail of this.ending) this.close(trail);
    this.ending.length = 0;
  }

  /** Rows of sequences that have no token since their admission: one more chunk, and with a token they decode from now on. */
  private look(plan: StepPlan, startNs: number, endNs: number, before: StepMark): void {
    const { inPrefill, sums } = this;
    const after = sums.mark;
    for (let row = 0; row < plan.rows; row++) {
      const slot = plan.slots[row]!;
      if (inPrefill[slot] === 0) continue;
      const trail = this.bySlot[slot]!;
      const { sequence } = trail;
      if (sequence !== plan.sequences[row]) continue;
      const samples = plan.samples[row] === 1;
      const decodes = samples && plan.newTokens[row]! - plan.draftTokens[row]! === 1 && sequence.firstTokenNs !== endNs;
      if (!decodes) trail.chunk(sums, before, startNs, endNs, samples);
      if (!samples) continue;
      inPrefill[slot] = 0;
      this.prefilling--;
      if (decodes) trail.beginDecode(before, startNs);
      else trail.beginDecode(after, endNs);
    }
  }

  /** It runs no more, and waits again. */
  private leave(trail: SequenceTrail, queuePosition: number): void {
    this.forgetSlot(trail);
    trail.requeued(queuePosition, this.sums, this.lastEndNs);
  }

  private close(trail: SequenceTrail): void {
    this.forgetSlot(trail);
    const { finishedNs } = trail.sequence;
    this.emit(trail.end(this.sums, this.lastEndNs, finishedNs, this.wallNs(), this.tokenIds));
  }

  private forgetSlot(trail: SequenceTrail): void {
    const { slot } = trail;
    if (slot === NONE || this.bySlot[slot] !== trail) return;
    this.bySlot[slot] = null;
    if (this.inPrefill[slot] === 1) this.prefilling--;
    this.inPrefill[slot] = 0;
  }

  private ahead(queue: Pick<WaitingQueue, 'size' | 'takeInOrder'>, sequence: Sequence): number {
    const found = queue.takeInOrder(POSITIONS_LOOKED_AT, this.scratch);
    for (let i = 0; i < found; i++) if (this.scratch[i] === sequence) return i;
    return queue.size - 1;
  }
}
