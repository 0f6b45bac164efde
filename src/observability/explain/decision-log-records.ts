import {
  type FinishReason,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type StepStatus,
  type WaitReason,
} from '../../core/index.ts';
import type { DecisionEvents, DecisionStep, SequenceId } from '../decision-log-format.ts';
import type { SequenceName, StepRecord, StepRow, TimelineRecord } from '../timeline/index.ts';

/** What the log's header says of the engine. */
export interface LoggedEngine {
  readonly blocksTotal: number;
  readonly blockSize: number;
  readonly sequencesMax: number;
  readonly stepsInFlight: number;
}

/** A sequence as far as its rows tell. */
interface Logged extends SequenceName {
  readonly arrivalNs: number;
  readonly promptTokens: number;
  firstTokenNs: number;
  computed: number;
  generated: number;
  cached: number;
  preemptions: number;
  prefilling: boolean;
}

type Line = Partial<DecisionStep> & DecisionEvents & { readonly ns: number; readonly end?: true };

/**
 * Reads lines of a decision log as the records of a timeline. A step lasts until the next one is planned, or until its last
 * token was there; with two steps in flight that makes each of them begin one step early. Blocks in use are not in the log.
 */
export class DecisionLogRecords {
  private readonly sequences = new Map<SequenceId, Logged>();
  /** Who has a row, beside those that prefill. */
  private readonly batch = new Set<Logged>();
  private readonly running = new Set<Logged>();
  private live = 0;
  private stepsInFlight = 1;
  private open: Line | null = null;

  begin({ blocksTotal, blockSize, sequencesMax, stepsInFlight }: LoggedEngine): TimelineRecord {
    this.stepsInFlight = stepsInFlight;
    return { kind: 'begin', ns: 0, blocksTotal, blockSize, sequencesMax };
  }

  /** Records of a line behind the header, in order. */
  *take(line: Line): Generator<TimelineRecord> {
    const { open } = this;
    for (const [id, ns] of line.firstTokens ?? []) this.of(id).firstTokenNs = ns;
    if (open !== null) {
      const endNs = this.endOf(open, line);
      yield* this.ends(line, (ns) => ns < endNs);
      yield* this.steps(open, line, endNs);
    }
    this.open = line.step === undefined ? null : line;
    yield* this.events(line);
    for (const id of line.out ?? []) this.batch.delete(this.of(id));
    for (const id of line.in ?? []) this.batch.add(this.of(id));
    for (const [id] of line.prefill ?? []) this.batch.add(this.of(id));
  }

  private *events(line: Line): Generator<TimelineRecord> {
    for (const [id, arrivalNs, promptTokens, outputTokensMax] of line.arrived ?? []) {
      yield this.arrived(id, arrivalNs, promptTokens, outputTokensMax);
    }
    for (const [id, reason] of line.rejected ?? []) {
      yield { kind: 'rejected', id, ns: line.ns, reason: reason as RejectionReason };
    }
    yield* this.ends(line, () => true);
    for (const [id, reason, how, by, lostTokens] of line.preempted ?? []) {
      const sequence = this.leave(id);
      sequence.preemptions++;
      if (how === 'recompute') sequence.computed = 0;
      const why = reason as PreemptionReason;
      yield {
        kind: 'preempted',
        ...nameOf(id),
        ns: line.ns,
        reason: why,
        swapped: how === 'swap',
        lostTokens,
        by: nameOf(by),
      };
    }
    for (const [id, hitTokens, , blocks, again] of line.admitted ?? []) {
      const sequence = this.of(id);
      if (again !== 'swapped-in') sequence.computed = hitTokens;
      if (again === undefined) sequence.cached = hitTokens;
      sequence.prefilling = true;
      this.running.add(sequence);
      yield { kind: 'admitted', ...nameOf(id), ns: line.ns, hitTokens, blocks, how: again ?? 'new' };
    }
  }

  private arrived(id: SequenceId, arrivalNs: number, promptTokens: number, outputTokensMax: number): TimelineRecord {
    const books = { firstTokenNs: NONE, computed: 0, generated: 0, cached: 0, preemptions: 0, prefilling: false };
    this.sequences.set(id, { ...nameOf(id), arrivalNs, promptTokens, ...books });
    this.live++;
    return { kind: 'received', ...nameOf(id), ns: arrivalNs, arrivalNs, promptTokens, outputTokensMax, priority: 0 };
  }

  /** Those that ended while a step was running come before it, the others behind it; each once. */
  private *ends(line: Line, when: (ns: number) => boolean): Generator<TimelineRecord> {
    for (const [id, reason, ns, outputTokens] of line.finished ?? []) {
      if (when(ns) && this.sequences.has(id)) yield this.finished(id, reason, ns, outputTokens);
    }
  }

  private finished(id: SequenceId, reason: string, ns: number, outputTokens: number): TimelineRecord {
    const { arrivalNs, firstTokenNs, promptTokens, cached, preemptions } = this.leave(id);
    this.sequences.delete(id);
    this.live--;
    const books = { outputTokens, cachedTokens: cached, recomputedTokens: 0, preemptions, waitedNs: 0 };
    const times = { arrivalNs, firstTokenNs, promptTokens };
    return { kind: 'finished', ...nameOf(id), ns, reason: reason as FinishReason, ...times, ...books };
  }

  private leave(id: SequenceId): Logged {
    const sequence = this.of(id);
    this.batch.delete(sequence);
    this.running.delete(sequence);
    return sequence;
  }

  /** The steps of a line, now that the one behind it tells when the last of them ended. */
  private *steps(line: Line, next: Line, endNs: number): Generator<TimelineRecord> {
    const times = line.times ?? 1;
    const failed = (next.failed ?? []).find(([step]) => step >= line.step! && step < line.step! + times);
    // The first token of a row may come with the first step of many alike.
    const firstNs = times > 1 ? (line.lastNs! - line.ns) / (times - 1) : 0;
    const prefills = [...this.batch].some((sequence) => sequence.prefilling);
    if (times > 1 && prefills) {
      yield this.record(line, 0, 1, line.ns, line.ns + Math.round(firstNs), 'ok');
      yield this.record(line, 1, times - 1, line.ns + Math.round(firstNs), endNs, 'ok');
      return;
    }
    yield this.record(line, 0, times, line.ns, endNs, (failed?.[1] ?? 'ok') as StepStatus);
  }

  private endOf(line: Line, next: Line): number {
    const last = line.lastNs ?? line.ns;
    const ends = [...(next.finished ?? []), ...(next.firstTokens ?? [])].map((each) =>
      Number(each.length === 2 ? each[1] : each[2]),
    );
    const idle = this.live === (next.finished ?? []).length;
    const known = ends.filter((ns) => ns > last);
    return idle && known.length > 0 ? Math.max(...known) : Math.max(next.ns, last);
  }

  private record(
    line: Line,
    from: number,
    steps: number,
    startNs: number,
    endNs: number,
    status: StepStatus,
  ): StepRecord {
    const prefill = new Map(line.prefill ?? []);
    const drafts = new Map(line.drafts ?? []);
    const rows: StepRow[] = [];
    let decodeTokens = 0;
    for (const sequence of this.batch) {
      const id = idOf(sequence);
      const tokens = prefill.get(id) ?? 1 + (drafts.get(id) ?? 0);
      if (!prefill.has(id)) decodeTokens += tokens;
      const row = status === 'ok' ? this.row(sequence, tokens, steps) : null;
      if (row !== null) rows.push(row);
    }
    let prefillTokens = 0;
    for (const tokens of prefill.values()) prefillTokens += tokens;
    const [head, reason] = line.head ?? [null, null];
    return {
      ...UNKNOWN,
      step: line.step! + from,
      stepsRun: steps,
      status,
      plannedNs: startNs,
      startNs,
      endNs,
      decodeRows: line.decode!,
      prefillRows: prefill.size,
      decodeTokens,
      prefillTokens,
      newBlocks: line.newBlocks ?? 0,
      running: this.running.size,
      waiting: line.waiting ?? 0,
      swapped: line.swapped ?? 0,
      head: head === null ? null : nameOf(head),
      waitReason: reason as WaitReason | null,
      rows,
    };
  }

  /** Counts a row's tokens, over all `steps`; the row of one that prefills, or null. */
  private row(sequence: Logged, tokens: number, steps: number): StepRow | null {
    const context = sequence.computed;
    sequence.computed += tokens * steps;
    // One that ended as the step did got no token of it; with two in flight the line behind it does not tell yet.
    const told = this.stepsInFlight > 1 || sequence.generated > 0 || sequence.firstTokenNs !== NONE;
    const samples = told && context + tokens >= sequence.promptTokens + sequence.generated;
    if (samples) sequence.generated += steps;
    if (!sequence.prefilling) return null;
    sequence.prefilling = !samples;
    return { id: sequence.id, index: sequence.index, context, tokens, prefilling: true, samples };
  }

  /** Throws for a log that names a sequence which never arrived: it is damaged. */
  private of(id: SequenceId): Logged {
    const sequence = this.sequences.get(id);
    if (sequence === undefined) throw new DecisionLogError(`${id} did not arrive before it is named`);
    return sequence;
  }
}

/** The log contradicts itself, or a line is no JSON. */
export class DecisionLogError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecisionLogError';
  }
}

const UNKNOWN = {
  kind: 'step',
  hostNs: 0,
  hostPhasesNs: { collect_finished: 0, allocate_running: 0, admit_waiting: 0, build_batch: 0 },
  evictions: 0,
  blocksUsed: NONE,
  blocksCached: NONE,
} as const;

function nameOf(id: SequenceId): SequenceName {
  const [request, index] = id.split('.');
  return { id: Number(request), index: Number(index) };
}

function idOf({ id, index }: SequenceName): SequenceId {
  return `${id}.${index}`;
}
