import {
  FINISH_REASONS,
  NONE,
  PREEMPTION_REASONS,
  REJECTION_REASONS,
  SEQUENCE_STATES,
  STEP_STATUSES,
  WAIT_REASONS,
} from '../../core/index.ts';
import { ADMISSIONS, CODE, ROW_WORDS, STEP_WORDS } from './timeline-codes.ts';
import type { LiveRecord, SequenceName, StepRecord, StepRow, TimelineRecord } from './timeline-record.ts';

/** The records of a chunk of `length` words, in order. */
export function* readTimeline(words: Float64Array, length: number = words.length): Generator<TimelineRecord> {
  for (let at = 0; at < length; at += words[at + 1]!) yield readRecord(words, at);
}

function readRecord(words: Float64Array, from: number): TimelineRecord {
  const code = words[from]!;
  if (code === CODE.step) return readStep(words, from);
  let at = from + 2;
  const next = () => words[at++]!;
  switch (code) {
    case CODE.begin:
      return { kind: 'begin', ns: next(), blocksTotal: next(), blockSize: next(), sequencesMax: next() };
    case CODE.end:
      return { kind: 'end', ns: next(), complete: next() === 1 };
    case CODE.rejected:
      return { kind: 'rejected', id: next(), ns: next(), reason: REJECTION_REASONS[next()]! };
    default:
      return readSequenceRecord(code, { id: next(), index: next(), ns: next() }, next);
  }
}

type Head = SequenceName & { readonly ns: number };

/** Fields are read in the order in which they were written. */
function readSequenceRecord(code: number, head: Head, next: () => number): TimelineRecord {
  switch (code) {
    case CODE.live:
      return readLive(head, next);
    case CODE.received:
      return {
        kind: 'received',
        ...head,
        arrivalNs: next(),
        promptTokens: next(),
        outputTokensMax: next(),
        priority: next(),
      };
    case CODE.admitted:
      return { kind: 'admitted', ...head, hitTokens: next(), blocks: next(), how: ADMISSIONS[next()]! };
    case CODE.preempted:
      return {
        kind: 'preempted',
        ...head,
        reason: PREEMPTION_REASONS[next()]!,
        swapped: next() === 1,
        lostTokens: next(),
        by: { id: next(), index: next() },
      };
    case CODE.finished:
      return {
        kind: 'finished',
        ...head,
        reason: FINISH_REASONS[next()]!,
        arrivalNs: next(),
        firstTokenNs: next(),
        promptTokens: next(),
        outputTokens: next(),
        cachedTokens: next(),
        recomputedTokens: next(),
        preemptions: next(),
        waitedNs: next(),
      };
    default:
      throw new Error(`no record begins with ${code}`);
  }
}

function readLive(head: Head, next: () => number): LiveRecord {
  return {
    kind: 'live',
    ...head,
    state: SEQUENCE_STATES[next()]!,
    prefilling: next() === 1,
    arrivalNs: next(),
    admittedNs: next(),
    firstTokenNs: next(),
    waitingSinceNs: next(),
    promptTokens: next(),
    outputTokensMax: next(),
    priority: next(),
    computedTokens: next(),
    cachedTokens: next(),
    preemptions: next(),
  };
}

function readStep(words: Float64Array, from: number): StepRecord {
  let at = from + 2;
  const next = () => words[at++]!;
  const own = {
    step: next(),
    stepsRun: next(),
    status: STEP_STATUSES[next()]!,
    plannedNs: next(),
    startNs: next(),
    endNs: next(),
    hostNs: next(),
    decodeRows: next(),
    prefillRows: next(),
    decodeTokens: next(),
    prefillTokens: next(),
    newBlocks: next(),
    blocksUsed: next(),
    blocksCached: next(),
  };
  const seen = words[at] !== NONE;
  // A step whose planning nobody saw: nothing is known of the queues.
  const known = () => {
    const value = next();
    return seen ? value : 0;
  };
  const running = known();
  const waiting = known();
  const swapped = known();
  const reason = next();
  const head = { id: next(), index: next() };
  const plan = {
    running: seen ? running : own.decodeRows + own.prefillRows,
    waiting,
    swapped,
    waitReason: reason === NONE ? null : WAIT_REASONS[reason]!,
    head: head.id === NONE ? null : head,
    evictions: known(),
    hostPhasesNs: {
      collect_finished: known(),
      allocate_running: known(),
      admit_waiting: known(),
      build_batch: known(),
    },
  };
  return { kind: 'step', ...own, ...plan, rows: readRows(words, from + STEP_WORDS, from + words[from + 1]!) };
}

function readRows(words: Float64Array, from: number, to: number): StepRow[] {
  const rows: StepRow[] = [];
  for (let at = from; at < to; at += ROW_WORDS) {
    const flags = words[at + 4]!;
    rows.push({
      id: words[at]!,
      index: words[at + 1]!,
      context: words[at + 2]!,
      tokens: words[at + 3]!,
      prefilling: (flags & 1) !== 0,
      samples: (flags & 2) !== 0,
    });
  }
  return rows;
}
