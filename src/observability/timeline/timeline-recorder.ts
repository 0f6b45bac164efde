import {
  type Engine,
  type EngineEvents,
  FINISH_REASONS,
  type HostPhase,
  PREEMPTION_REASONS,
  type PreemptionReason,
  REJECTION_REASONS,
  type RejectionReason,
  type Request,
  SEQUENCE_STATES,
  type Sequence,
  type StepPlan,
  type StepResult,
  type WaitReason,
} from '../../core/index.ts';
import { StepRecords } from './step-records.ts';
import { type ChunkSink, sharedWords, TimelineBuffer } from './timeline-buffer.ts';
import { ADMISSIONS, CODE, ROW_WORDS, STEP_WORDS } from './timeline-codes.ts';

export interface TimelineRecorderOptions {
  readonly engine: Engine;
  /** Rows of steps that are recorded: all, or those of sequences that have got no token since their last admission. */
  readonly rows: 'all' | 'prefill';
  /** Takes chunks of records (`readTimeline`). */
  readonly sink: ChunkSink;
  /** Records what happens in [fromNs, toNs) of the engine's time; default: everything from now on. */
  readonly fromNs?: number;
  readonly toNs?: number;
  /** Begin every chunk with what is live, so that it can be read without those before it. */
  readonly chunksAlone?: boolean;
  readonly chunkWords?: number;
  /** Whether the first chunk lies in shared memory; those behind it are the sink's. */
  readonly shared?: boolean;
}

const CHUNK_WORDS = 1 << 16;
const LIVE_WORDS = 17;

/**
 * Listens to an engine and writes what happens, step by step and request by request, as numbers into chunks. Memory does not
 * grow with the run. Records come in order of their times; a step's follows it, and the ends of sequences in it follow that.
 */
export class TimelineRecorder implements EngineEvents {
  private readonly engine: Engine;
  private readonly buffer: TimelineBuffer;
  private readonly fromNs: number;
  private readonly toNs: number;
  private state: 'before' | 'recording' | 'ended' = 'before';
  private readonly steps: StepRecords;
  /** Ended at `endedNs`, and not written yet: the step in which they ended comes first. */
  private readonly ended: Sequence[] = [];
  private endedNs = 0;
  private complete = true;

  constructor(options: TimelineRecorderOptions) {
    this.engine = options.engine;
    this.fromNs = options.fromNs ?? Number.NEGATIVE_INFINITY;
    this.toNs = options.toNs ?? Number.POSITIVE_INFINITY;
    const { sequencesMax } = options.engine.config;
    const words = Math.max(options.chunkWords ?? CHUNK_WORDS, 2 * (STEP_WORDS + ROW_WORDS * sequencesMax));
    const first = options.shared === true ? sharedWords(words) : new Float64Array(words);
    this.buffer = new TimelineBuffer(first, options.sink);
    this.steps = new StepRecords(this.buffer, options.engine, options.rows === 'all');
    if (options.chunksAlone === true) this.buffer.begun = () => this.writeLive(this.engine.clock.nowNs());
    this.on(options.engine.clock.nowNs());
  }

  /** No more is recorded; what is left is handed on. Idempotent. */
  close(nowNs: number): void {
    if (this.state === 'recording') this.end(Math.min(nowNs, this.toNs));
    this.state = 'ended';
  }

  /** Time has come to `nowNs`: begins or ends the recording where that is due. */
  tick(nowNs: number): void {
    this.on(nowNs);
  }

  /** A copy of what is not handed on yet. */
  rest(): Float64Array {
    return this.buffer.words.slice(0, this.buffer.length);
  }

  received(sequence: Sequence, nowNs: number): void {
    if (!this.on(nowNs)) return;
    const { request } = sequence;
    const at = this.buffer.begin(CODE.received, 9);
    this.put(at, request.id, sequence.index, nowNs, request.arrivalNs);
    this.put(at + 4, sequence.promptTokens, sequence.outputTokensMax, request.priority);
  }

  rejected(request: Request, reason: RejectionReason, nowNs: number): void {
    if (!this.on(nowNs)) return;
    this.put(this.buffer.begin(CODE.rejected, 5), request.id, nowNs, REJECTION_REASONS.indexOf(reason));
  }

  admitted(sequence: Sequence, hitTokens: number, blocks: number, resumed: boolean, nowNs: number): void {
    if (!this.on(nowNs)) return;
    // One that is computed again has computed nothing but its hits.
    const how = !resumed ? 'new' : sequence.computedTokens > hitTokens ? 'swapped-in' : 'resumed';
    const at = this.buffer.begin(CODE.admitted, 8);
    this.put(at, sequence.request.id, sequence.index, nowNs);
    this.put(at + 3, hitTokens, blocks, ADMISSIONS.indexOf(how));
    this.steps.prefilling.add(sequence);
  }

  preempted(
    sequence: Sequence,
    reason: PreemptionReason,
    swapped: boolean,
    nowNs: number,
    beneficiary: Sequence,
  ): void {
    if (!this.on(nowNs)) return;
    const lost = swapped ? 0 : sequence.computedTokensPeak;
    const at = this.buffer.begin(CODE.preempted, 10);
    this.put(at, sequence.request.id, sequence.index, nowNs, PREEMPTION_REASONS.indexOf(reason));
    this.put(at + 4, swapped ? 1 : 0, lost, beneficiary.request.id, beneficiary.index);
    this.steps.prefilling.delete(sequence);
  }

  evicted(_blocks: Int32Array, count: number, _nowNs: number): void {
    this.steps.evictions += count;
  }

  stepPlanned(plan: StepPlan, waiting: number, swapped: number, reason: WaitReason | null, nowNs: number): void {
    if (!this.on(nowNs)) return;
    this.steps.planned(plan, waiting, swapped, reason);
  }

  hostPhase(phase: HostPhase, ns: number): void {
    this.steps.phase(phase, ns);
  }

  stepFinished(plan: StepPlan, result: StepResult, startNs: number, endNs: number): void {
    if (this.ended.length > 0 && this.endedNs < endNs) this.writeEnded();
    if (!this.on(endNs)) return;
    this.steps.finished(plan, result, startNs, endNs);
    if (this.ended.length > 0) this.writeEnded();
  }

  tokenGap(): void {}

  finished(sequence: Sequence, nowNs: number): void {
    if (!this.on(nowNs)) return;
    // A refusal has been written with its reason.
    if (sequence.finishReason === 'rejected') return;
    this.ended.push(sequence);
    this.endedNs = nowNs;
  }

  /** Whether what happens now is recorded; begins and ends the recording when its time has come. */
  private on(nowNs: number): boolean {
    if (this.state === 'recording') {
      if (this.ended.length > 0 && this.endedNs < nowNs) this.writeEnded();
      if (nowNs < this.toNs) return true;
      this.end(this.toNs);
    } else if (this.state === 'before' && nowNs >= this.fromNs) {
      // Later than the end: nothing has happened in between, and what is there now may not have been there then.
      this.state = nowNs < this.toNs ? 'recording' : 'ended';
      if (this.state === 'recording') this.writeLive(nowNs);
    }
    return this.state === 'recording';
  }

  private end(nowNs: number): void {
    this.writeEnded();
    this.put(this.buffer.begin(CODE.end, 4), nowNs, this.complete ? 1 : 0);
    this.state = 'ended';
    this.buffer.flush();
  }

  /** What is live, as far as it fits into half of a chunk: those that hold blocks first. */
  private writeLive(nowNs: number): void {
    const { config, requests, scheduler } = this.engine;
    const at = this.buffer.begin(CODE.begin, 6);
    this.put(at, nowNs, config.blocksTotal, config.blockSize, config.sequencesMax);
    for (const sequence of scheduler.running) this.writeLiveSequence(sequence, nowNs);
    for (const leader of requests.values()) {
      if (leader.state !== 'running') this.writeLiveSequence(leader, nowNs);
      if (leader.siblings === null) continue;
      for (const each of leader.siblings) if (each.state !== 'running') this.writeLiveSequence(each, nowNs);
    }
  }

  private writeLiveSequence(sequence: Sequence, nowNs: number): void {
    const { request, state } = sequence;
    if (state === 'finished') return;
    if (!this.buffer.fits(LIVE_WORDS + (this.buffer.words.length >> 1))) {
      this.complete = false;
      return;
    }
    const prefilling = state === 'running' && !sequence.canDraft;
    if (prefilling) this.steps.prefilling.add(sequence);
    const at = this.buffer.begin(CODE.live, LIVE_WORDS);
    this.put(at, request.id, sequence.index, nowNs, SEQUENCE_STATES.indexOf(state), prefilling ? 1 : 0);
    this.put(at + 5, request.arrivalNs, sequence.admittedNs, sequence.firstTokenNs, sequence.waitingSinceNs);
    this.put(at + 9, sequence.promptTokens, sequence.outputTokensMax, request.priority);
    this.put(at + 12, sequence.computedTokens, sequence.cachedPromptTokens, sequence.preemptions);
  }

  private writeEnded(): void {
    for (const sequence of this.ended) {
      const { request } = sequence;
      const at = this.buffer.begin(CODE.finished, 14);
      this.put(at, request.id, sequence.index, sequence.finishedNs, FINISH_REASONS.indexOf(sequence.finishReason!));
      this.put(at + 4, request.arrivalNs, sequence.firstTokenNs, sequence.promptTokens, sequence.outputTokens);
      const recomputed = sequence.recomputedPromptTokens + sequence.recomputedOutputTokens;
      this.put(at + 8, sequence.cachedPromptTokens, recomputed, sequence.preemptions, sequence.waitedNs);
      this.steps.prefilling.delete(sequence);
    }
    this.ended.length = 0;
  }

  private put(at: number, ...values: number[]): void {
    const { words } = this.buffer;
    for (let i = 0; i < values.length; i++) words[at + i] = values[i]!;
  }
}
