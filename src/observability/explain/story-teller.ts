import { NONE } from '../../core/index.ts';
import type {
  AdmittedRecord,
  FinishedRecord,
  LiveRecord,
  PreemptedRecord,
  ReceivedRecord,
  SequenceName,
  StepRecord,
  TimelineRecord,
} from '../timeline/index.ts';
import { BlockHolders, keyOf } from './block-holders.ts';
import {
  type PartsMs,
  type RequestStory,
  STORY_PARTS,
  type StoryChunk,
  type StoryHolders,
  type StoryPart,
  type StoryPreemption,
} from './request-story.ts';
import { WaitAccount } from './wait-account.ts';

/** Chunks that a story keeps. */
const CHUNKS_MAX = 16;

type State = 'unseen' | 'waiting' | 'computing' | 'decode' | 'away' | 'computing-again' | 'finished' | 'rejected';
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Follows the records of an engine in their order and tells the story of one sequence. All its time is on the account of one
 * part; where a step served others as well, by these rules:
 *
 * - Before its first token, a step counts as prefill by its share of the step's prompt tokens, and as interference for the
 *   rest; one that it is not in is interference.
 * - After it, a step with prompts of others counts as interference as far as it took longer than the last pure decode step.
 * - From a preemption to the next token everything counts as preempted.
 */
export class StoryTeller {
  private readonly target: SequenceName;
  private readonly key: string;
  private readonly nameOf: (sequence: SequenceName) => string;
  private readonly holders = new BlockHolders();
  private readonly queued = new Set<string>();
  private readonly waits = new WaitAccount();
  private state: State = 'unseen';
  private complete = true;
  private arrivalNs = 0;
  /** Its time is accounted for up to here. */
  private cursorNs = 0;
  private nowNs = 0;
  private readonly partsNs: Record<StoryPart, number> = noTime();
  private ttftNs: number | null = null;
  private ttftPartsNs: Record<StoryPart, number> | null = null;
  private queueNs: number | null = null;
  /** Length of the last step without prompts. */
  private decodeStepNs: number | null = null;
  private shape = { promptTokens: 0, outputTokensMax: 0, aheadInQueue: 0, cachedTokens: 0 };
  private readonly steps = { decode: 0, mixed: 0, leftOut: 0, failed: 0 };
  private readonly chunks: StoryChunk[] = [];
  private chunksTotal = 0;
  private readonly preemptions: Mutable<StoryPreemption>[] = [];
  private held: StoryHolders | null = null;
  private ended: FinishedRecord | null = null;
  private rejection: RequestStory['rejection'] = null;

  constructor(target: SequenceName, nameOf: (sequence: SequenceName) => string) {
    this.target = target;
    this.key = keyOf(target);
    this.nameOf = nameOf;
  }

  take(record: TimelineRecord): void {
    this.nowNs = Math.max(this.nowNs, record.kind === 'step' ? record.endNs : record.ns);
    if (record.kind === 'step') this.step(record);
    else if (record.kind === 'rejected') this.rejected(record.id, record.ns, record.reason);
    else if (record.kind !== 'begin' && record.kind !== 'end' && keyOf(record) === this.key) this.own(record);
    this.holders.take(record);
    this.queue(record);
  }

  /** null = no record was of it. */
  story(): RequestStory | null {
    const { state, shape, ended } = this;
    if (state === 'unseen') return null;
    if (state !== 'finished' && state !== 'rejected') this.close(this.nowNs);
    const running = state === 'computing' || state === 'decode' || state === 'computing-again';
    return {
      request: this.nameOf(this.target),
      state: running ? 'running' : state === 'away' ? 'preempted' : state,
      complete: this.complete && (state === 'finished' || state === 'rejected'),
      arrivalSeconds: this.arrivalNs / 1e9,
      ...shape,
      outputTokens: ended === null ? null : ended.outputTokens,
      rejection: this.rejection,
      finishReason: ended === null ? null : ended.reason,
      queueMs: this.queueNs === null ? null : this.queueNs / 1e6,
      ttftMs: this.ttftNs === null ? null : this.ttftNs / 1e6,
      totalMs: (this.cursorNs - this.arrivalNs) / 1e6,
      partsOfTtft: this.ttftPartsNs === null ? null : inMs(this.ttftPartsNs),
      parts: inMs(this.partsNs),
      waits: this.waits.list(),
      holders: this.held,
      chunks: this.chunks,
      chunksTotal: this.chunksTotal,
      preemptions: this.preemptions,
      steps: this.steps,
    };
  }

  private own(record: Exclude<TimelineRecord, { kind: 'step' | 'begin' | 'end' | 'rejected' }>): void {
    if (this.state === 'unseen' && record.kind !== 'live' && record.kind !== 'received') {
      // All that is left of it is its end.
      if (record.kind !== 'finished') return;
      this.complete = false;
      this.arrivalNs = record.arrivalNs;
      this.cursorNs = record.arrivalNs;
    }
    switch (record.kind) {
      case 'live':
        if (this.state === 'unseen') this.live(record);
        break;
      case 'received':
        if (this.state === 'unseen') this.received(record);
        break;
      case 'admitted':
        this.admitted(record);
        break;
      case 'preempted':
        this.preempted(record);
        break;
      case 'finished':
        this.finished(record);
        break;
    }
  }

  private received(record: ReceivedRecord): void {
    this.state = 'waiting';
    this.arrivalNs = record.arrivalNs;
    this.cursorNs = record.arrivalNs;
    const { promptTokens, outputTokensMax } = record;
    this.shape = { promptTokens, outputTokensMax, aheadInQueue: this.queued.size, cachedTokens: 0 };
  }

  /** Records begin in the middle of its life: what came before is known by its ends alone. */
  private live(record: LiveRecord): void {
    const { state, ns, arrivalNs, admittedNs, firstTokenNs, promptTokens, outputTokensMax, cachedTokens } = record;
    this.complete = false;
    this.arrivalNs = arrivalNs;
    this.cursorNs = arrivalNs;
    this.shape = { promptTokens, outputTokensMax, aheadInQueue: this.queued.size, cachedTokens };
    if (admittedNs !== NONE) {
      this.queueNs = admittedNs - arrivalNs;
      this.account('queue', admittedNs);
    }
    if (firstTokenNs !== NONE) {
      this.account('prefill', firstTokenNs);
      this.firstToken();
      this.account('decode', ns);
    } else if (admittedNs !== NONE) this.account('prefill', ns);
    if (state === 'running') this.state = record.prefilling ? 'computing' : 'decode';
    else this.state = state === 'swapped' || record.preemptions > 0 ? 'away' : 'waiting';
  }

  private admitted(record: AdmittedRecord): void {
    this.close(record.ns);
    const again = this.state === 'away' || this.preemptions.length > 0;
    this.state = again ? 'computing-again' : 'computing';
    const last = this.preemptions.at(-1);
    if (last !== undefined) last.awayMs = (record.ns - this.arrivalNs) / 1e6 - last.atMs;
    if (this.queueNs !== null) return;
    this.queueNs = record.ns - this.arrivalNs;
    this.shape.cachedTokens = record.hitTokens;
  }

  private preempted(record: PreemptedRecord): void {
    this.close(record.ns);
    this.state = 'away';
    this.waits.begin();
    this.preemptions.push({
      atMs: (record.ns - this.arrivalNs) / 1e6,
      reason: record.reason,
      how: record.swapped ? 'swap' : 'recompute',
      madeRoomFor: this.nameOf(record.by),
      lostTokens: record.lostTokens,
      awayMs: null,
      untilTokenMs: null,
    });
  }

  private finished(record: FinishedRecord): void {
    this.close(record.ns);
    this.state = 'finished';
    this.ended = record;
    if (record.firstTokenNs !== NONE) this.settleFirstToken(record.firstTokenNs - this.arrivalNs);
    else this.noFirstToken();
  }

  private rejected(id: number, ns: number, reason: RequestStory['rejection']): void {
    if (id !== this.target.id) return;
    this.state = 'rejected';
    this.rejection = reason;
    this.arrivalNs = ns;
    this.cursorNs = ns;
  }

  private step(step: StepRecord): void {
    switch (this.state) {
      case 'waiting':
      case 'away':
        this.waited(step);
        break;
      case 'computing':
      case 'computing-again':
        this.computed(step);
        break;
      case 'decode':
        this.decoded(step);
        break;
    }
    if (step.status === 'ok' && step.prefillTokens === 0) {
      this.decodeStepNs = (step.endNs - step.startNs) / step.stepsRun;
    }
  }

  private waited(step: StepRecord): void {
    const planned = step.plannedNs >= this.arrivalNs;
    if (planned && step.waitReason !== null) {
      this.close(Math.max(step.plannedNs, this.cursorNs));
      this.waits.because(step.waitReason, step.head !== null && keyOf(step.head) === this.key);
      this.held ??= this.holders.now(step.plannedNs, this.arrivalNs, this.nameOf);
    }
    this.close(step.endNs);
  }

  private computed(step: StepRecord): void {
    const row = step.rows.find((each) => keyOf(each) === this.key);
    if (step.status !== 'ok') this.steps.failed++;
    if (this.state === 'computing-again') this.account('preempted', step.endNs);
    else if (row === undefined || step.status !== 'ok') {
      this.steps.leftOut++;
      this.account('interference', step.endNs);
    } else {
      const all = Math.max(step.prefillTokens, row.tokens);
      const ns = step.endNs - this.cursorNs;
      this.chunk(step, row.tokens, all - row.tokens);
      this.account('prefill', this.cursorNs + (ns * row.tokens) / all);
      this.account('interference', step.endNs);
    }
    if (row === undefined || !row.samples) return;
    this.state = 'decode';
    const last = this.preemptions.at(-1);
    if (last !== undefined && last.untilTokenMs === null)
      last.untilTokenMs = (step.endNs - this.arrivalNs) / 1e6 - last.atMs;
    if (this.ttftNs === null) this.firstToken();
  }

  private decoded(step: StepRecord): void {
    if (step.status !== 'ok') this.steps.failed++;
    this.steps.decode += step.stepsRun;
    if (step.prefillTokens > 0) {
      this.steps.mixed++;
      const alone = this.decodeStepNs ?? step.endNs - step.startNs;
      this.account('decode', Math.min(step.endNs, this.cursorNs + alone));
      this.account('interference', step.endNs);
    } else this.account('decode', step.endNs);
  }

  private chunk(step: StepRecord, tokens: number, othersTokens: number): void {
    this.chunksTotal++;
    if (this.chunks.length >= CHUNKS_MAX) return;
    this.chunks.push({
      step: step.step,
      atMs: (this.cursorNs - this.arrivalNs) / 1e6,
      ms: (step.endNs - this.cursorNs) / 1e6,
      tokens,
      othersTokens,
      decodeRows: step.decodeRows,
    });
  }

  private firstToken(): void {
    this.ttftNs = this.cursorNs - this.arrivalNs;
    this.ttftPartsNs = { ...this.partsNs };
  }

  private noFirstToken(): void {
    this.ttftNs = null;
    this.ttftPartsNs = null;
  }

  /** The end knows best when the first token was: what the steps say may be a step off, where two are in flight in a log. */
  private settleFirstToken(ttftNs: number): void {
    const parts = this.ttftPartsNs ?? { ...this.partsNs };
    const later = ttftNs - (this.ttftNs ?? this.cursorNs - this.arrivalNs);
    if (later > 0) {
      const moved = Math.min(later, this.partsNs.decode);
      this.partsNs.decode -= moved;
      this.partsNs.prefill += moved;
      parts.prefill += later;
    }
    for (let tooMuch = -later; tooMuch > 0; ) {
      const largest = STORY_PARTS.reduce((a, b) => (parts[b] > parts[a] ? b : a));
      const taken = Math.min(tooMuch, parts[largest]);
      if (taken <= 0) break;
      parts[largest] -= taken;
      tooMuch -= taken;
    }
    this.ttftNs = ttftNs;
    this.ttftPartsNs = parts;
  }

  /** Its time up to `ns` goes to what it is in. */
  private close(ns: number): void {
    switch (this.state) {
      case 'waiting':
      case 'away':
        this.waits.add(ns - this.cursorNs);
        this.account(this.state === 'away' ? 'preempted' : 'queue', ns);
        break;
      case 'computing':
        this.account('interference', ns);
        break;
      case 'computing-again':
        this.account('preempted', ns);
        break;
      case 'decode':
        this.account('decode', ns);
        break;
    }
  }

  private account(part: StoryPart, toNs: number): void {
    if (toNs <= this.cursorNs) return;
    this.partsNs[part] += toNs - this.cursorNs;
    this.cursorNs = toNs;
  }

  private queue(record: TimelineRecord): void {
    if (record.kind === 'received' || record.kind === 'preempted') this.queued.add(keyOf(record));
    else if (record.kind === 'admitted' || record.kind === 'finished') this.queued.delete(keyOf(record));
    else if (record.kind === 'live' && record.state !== 'running') this.queued.add(keyOf(record));
  }
}

function noTime(): Record<StoryPart, number> {
  return { queue: 0, prefill: 0, interference: 0, decode: 0, preempted: 0 };
}

function inMs(partsNs: Readonly<Record<StoryPart, number>>): PartsMs {
  const { queue, prefill, interference, decode, preempted } = partsNs;
  const ms = (ns: number) => ns / 1e6;
  return {
    queue: ms(queue),
    prefill: ms(prefill),
    interference: ms(interference),
    decode: ms(decode),
    preempted: ms(preempted),
  };
}
