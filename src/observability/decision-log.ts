import {
  type EngineEvents,
  type FinishReason,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type Request,
  type Sequence,
  type StepPlan,
  type StepResult,
  type WaitReason,
} from '../core/index.ts';
import type {
  BlockRange,
  DecisionEnd,
  DecisionEvents,
  DecisionInterlude,
  DecisionRows,
  DecisionStep,
  SequenceId,
} from './decision-log-format.ts';

/** What the log asks of the engine's queues once a step is planned. */
export interface DecisionLogQueues {
  /** The sequence whose turn is next: the first swapped one, else the first waiting one; null when nobody waits. */
  head(): Sequence | null;
}

/** Entries kept for the next step's line before a line of their own is written. */
const EVENTS_MAX = 4096;

/**
 * Writes what an engine decides, step by step, as JSON lines (docs/DECISION-LOG.md): who is scheduled, admitted, preempted,
 * evicted, and why the head of the queue waits. The engine must plan single steps. Steps that repeat the one before become
 * one line with a count. Memory does not grow with the run: a line is handed on, without its end of line, as soon as the
 * step after it differs.
 */
export class DecisionLog implements EngineEvents {
  private readonly write: (line: string) => void;
  private queues: DecisionLogQueues = { head: () => null };

  /** The line being repeated, but for what grows with its steps; null before the first step and after an interlude. */
  private current: DecisionStep | null = null;
  private times = 0;
  private lastNs = 0;
  private newBlocks = 0;
  private head: Sequence | null = null;
  private reason: WaitReason | null = null;
  /** Rows of the last step planned. */
  private previous: Sequence[] = [];
  private previousDrafts: Int32Array = new Int32Array(0);

  private events = noEvents();
  private eventCount = 0;
  /** Sequences taken in that have no token yet. */
  private awaitingFirst = 0;
  /** Sequences that left since the last step, which `out` need not repeat. */
  private readonly gone = new Set<Sequence>();
  private steps = 0;
  private nowNs = 0;

  constructor(write: (line: string) => void) {
    this.write = write;
  }

  attach(queues: DecisionLogQueues): void {
    this.queues = queues;
  }

  received(sequence: Sequence, nowNs: number): void {
    const { request, promptTokens, outputTokensMax } = sequence;
    this.events.arrived.push([idOf(sequence), request.arrivalNs, promptTokens, outputTokensMax]);
    this.awaitingFirst++;
    this.counted(1, nowNs);
  }

  rejected(request: Request, reason: RejectionReason, nowNs: number): void {
    this.events.rejected.push([request.id, reason]);
    this.counted(1, nowNs);
  }

  admitted(sequence: Sequence, hitTokens: number, blocksAllocated: number, resumed: boolean, nowNs: number): void {
    const id = idOf(sequence);
    const { prefixEnd, computedTokens } = sequence;
    if (resumed) {
      // One that is computed again has computed nothing but its hits.
      const again = computedTokens > hitTokens ? 'swapped-in' : 'resumed';
      this.events.admitted.push([id, hitTokens, prefixEnd, blocksAllocated, again]);
    } else {
      this.events.admitted.push([id, hitTokens, prefixEnd, blocksAllocated]);
    }
    this.counted(1, nowNs);
  }

  preempted(
    sequence: Sequence,
    reason: PreemptionReason,
    swapped: boolean,
    nowNs: number,
    beneficiary: Sequence,
  ): void {
    const lostTokens = swapped ? 0 : sequence.computedTokensPeak;
    const how = swapped ? 'swap' : 'recompute';
    this.events.preempted.push([idOf(sequence), reason, how, idOf(beneficiary), lostTokens]);
    this.gone.add(sequence);
    this.counted(1, nowNs);
  }

  evicted(blocks: Int32Array, count: number, nowNs: number): void {
    appendRanges(this.events.evicted, blocks, count);
    this.counted(count, nowNs);
  }

  stepPlanned(plan: StepPlan, waiting: number, swapped: number, reason: WaitReason | null, nowNs: number): void {
    this.nowNs = nowNs;
    this.steps++;
    const head = waiting + swapped > 0 ? this.queues.head() : null;
    const sameRows = this.sameRows(plan);
    const current = this.current;
    if (
      current !== null &&
      sameRows &&
      this.eventCount === 0 &&
      (current.waiting ?? 0) === waiting &&
      (current.swapped ?? 0) === swapped &&
      this.head === head &&
      this.reason === reason &&
      current.prefill === undefined
    ) {
      this.times++;
      this.lastNs = nowNs;
      this.newBlocks += plan.newBlockCount;
      return;
    }
    this.flush();
    const line = this.begin(plan, nowNs, sameRows);
    if (waiting > 0) line.waiting = waiting;
    if (swapped > 0) line.swapped = swapped;
    if (reason !== null) line.head = [head === null ? null : idOf(head), reason];
    Object.assign(line, this.takeEvents());
    this.current = line;
    this.times = 1;
    this.newBlocks = plan.newBlockCount;
    this.head = head;
    this.reason = reason;
  }

  hostPhase(): void {}

  stepFinished(plan: StepPlan, result: StepResult, _startNs: number, endNs: number): void {
    this.nowNs = endNs;
    if (result.status === 'ok') {
      if (this.awaitingFirst > 0) this.firstTokens(plan, endNs);
      return;
    }
    this.events.failed.push([plan.stepId, result.status]);
    this.counted(1, endNs);
  }

  tokenGap(): void {}

  finished(sequence: Sequence, nowNs: number): void {
    const reason: FinishReason = sequence.finishReason!;
    // A refusal has been noted with its reason.
    if (reason === 'rejected') return;
    this.events.finished.push([idOf(sequence), reason, nowNs, sequence.outputTokens]);
    if (sequence.firstTokenNs === NONE) this.awaitingFirst--;
    this.gone.add(sequence);
    this.counted(1, nowNs);
  }

  /** Hands on what is left and the last line. Call it once, when the engine is idle. */
  close(): void {
    this.flush();
    const line: DecisionEnd = { end: true, ns: this.nowNs, steps: this.steps, ...this.takeEvents() };
    this.write(JSON.stringify(line));
  }

  private firstTokens(plan: StepPlan, endNs: number): void {
    for (let row = 0; row < plan.rows; row++) {
      const sequence = plan.sequences[row]!;
      if (sequence.firstTokenNs !== endNs || plan.samples[row] === 0) continue;
      this.awaitingFirst--;
      this.events.firstTokens.push([idOf(sequence), endNs]);
      this.counted(1, endNs);
    }
  }

  /** Whether the plan has one token for each row of the last step, with the same drafts. */
  private sameRows(plan: StepPlan): boolean {
    const rows = plan.rows;
    const previous = this.previous;
    if (previous.length !== rows) return false;
    for (let row = 0; row < rows; row++) {
      if (previous[row] !== plan.sequences[row]) return false;
      const drafts = plan.draftTokens[row]!;
      if (drafts !== this.previousDrafts[row] || plan.newTokens[row] !== 1 + drafts) return false;
    }
    return true;
  }

  /** The line of a step, without queues and events; takes over its rows as those of the last step. */
  private begin(plan: StepPlan, ns: number, sameRows: boolean): DecisionStep {
    const rows = noRows();
    let decode = 0;
    const before = sameRows ? null : new Set(this.previous);
    for (let row = 0; row < plan.rows; row++) {
      const sequence = plan.sequences[row]!;
      const tokens = plan.newTokens[row]!;
      const drafts = plan.draftTokens[row]!;
      const stayed = before === null || before.delete(sequence);
      if (tokens !== 1 + drafts) rows.prefill.push([idOf(sequence), tokens]);
      else {
        decode++;
        // One that left and came back within this very step is new.
        if (!stayed || this.gone.has(sequence)) rows.in.push(idOf(sequence));
      }
      if (drafts > 0) rows.drafts.push([idOf(sequence), drafts]);
    }
    if (before !== null) {
      for (const sequence of before) if (!this.gone.has(sequence)) rows.out.push(idOf(sequence));
    }
    this.remember(plan);
    this.gone.clear();
    return { step: plan.stepId, ns, decode, ...filled(rows) };
  }

  private remember(plan: StepPlan): void {
    const rows = plan.rows;
    if (this.previousDrafts.length < rows) this.previousDrafts = new Int32Array(plan.draftTokens.length);
    this.previous.length = rows;
    for (let row = 0; row < rows; row++) {
      this.previous[row] = plan.sequences[row]!;
      this.previousDrafts[row] = plan.draftTokens[row]!;
    }
  }

  private counted(entries: number, nowNs: number): void {
    this.nowNs = nowNs;
    this.eventCount += entries;
    if (this.eventCount >= EVENTS_MAX) this.interlude(nowNs);
  }

  private interlude(ns: number): void {
    this.flush();
    this.previous = this.previous.filter((sequence) => !this.gone.has(sequence));
    this.gone.clear();
    const line: DecisionInterlude = { ns, ...this.takeEvents() };
    this.write(JSON.stringify(line));
  }

  private takeEvents(): DecisionEvents {
    const events = this.eventCount === 0 ? {} : filled(this.events);
    if (this.eventCount > 0) this.events = noEvents();
    this.eventCount = 0;
    return events;
  }

  private flush(): void {
    const current = this.current;
    if (current === null) return;
    const { step, ns, decode, ...rest } = current;
    const run = this.times === 1 ? { step, ns } : { step, times: this.times, ns, lastNs: this.lastNs };
    const blocks = this.newBlocks === 0 ? {} : { newBlocks: this.newBlocks };
    this.write(JSON.stringify({ ...run, decode, ...blocks, ...rest }));
    this.current = null;
  }
}

function noEvents(): Required<DecisionEvents> {
  const requests = { arrived: [], rejected: [], admitted: [], preempted: [], firstTokens: [], finished: [] };
  return { ...requests, evicted: [], failed: [] };
}

function noRows(): Required<DecisionRows> {
  return { prefill: [], drafts: [], in: [], out: [] };
}

/** The lists that have entries. */
function filled<T extends object>(lists: T): Partial<T> {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => (list as unknown[]).length > 0)) as Partial<T>;
}

function idOf(sequence: Sequence): SequenceId {
  return `${sequence.request.id}.${sequence.index}`;
}

/** Appends blocks[0 .. count) to `ranges`, ids that follow each other as one pair. */
function appendRanges(ranges: BlockRange[], blocks: Int32Array, count: number): void {
  for (let i = 0; i < count; ) {
    const first = blocks[i]!;
    const stride = i + 1 < count ? blocks[i + 1]! - first : 0;
    let end = i + 1;
    if (stride === 1 || stride === -1) while (end < count && blocks[end]! - blocks[end - 1]! === stride) end++;
    ranges.push(end - i > 2 ? [first, blocks[end - 1]!] : first);
    i = end - i > 2 ? end : i + 1;
  }
}
