import { HOST_PHASES } from '../../core/index.ts';
import { readTimeline } from './read-timeline.ts';
import { RequestLanes } from './request-lanes.ts';
import type { SequenceName, StepRecord, TimelineRecord } from './timeline-record.ts';
import { TraceEvents } from './trace-events.ts';

export interface PerfettoExportOptions {
  /** Takes text; together all of it is the file. */
  readonly write: (chunk: string) => void;
  /** What a sequence is called; default `id`, and `id.index` behind the first of a request's. */
  readonly nameOf?: (sequence: SequenceName) => string;
  /** Facts that go into the file beside its events. */
  readonly about?: Readonly<Record<string, unknown>>;
}

const PID = 1;
const STEPS = 1;
const HOST = 2;
const DEVICE = 3;
const REFUSALS = 4;

/** Sums over what was exported; in the file as `otherData`. */
export interface TimelineSums {
  steps: number;
  submissions: number;
  failed_submissions: number;
  prefill_tokens: number;
  decode_tokens: number;
  /** Sequences taken in, or there at the beginning. */
  sequences: number;
  rejected_requests: number;
  finished_sequences: number;
  preemptions: number;
}

/** Records of a timeline as Perfetto's JSON, chunk by chunk in constant memory. */
export class PerfettoExport {
  readonly sums: TimelineSums = {
    steps: 0,
    submissions: 0,
    failed_submissions: 0,
    prefill_tokens: 0,
    decode_tokens: 0,
    sequences: 0,
    rejected_requests: 0,
    finished_sequences: 0,
    preemptions: 0,
  };
  private readonly events: TraceEvents;
  private readonly lanes: RequestLanes;
  private readonly nameOf: (sequence: SequenceName) => string;
  private readonly about: Readonly<Record<string, unknown>>;
  private readonly counters = new Map<string, string>();
  private begun = false;
  private blocksTotal = 0;
  private fromNs = 0;
  private toNs = 0;
  private hostNs = 0;
  private deviceNs = 0;
  private complete = true;

  constructor(options: PerfettoExportOptions) {
    this.nameOf = options.nameOf ?? plainName;
    this.about = options.about ?? {};
    this.events = new TraceEvents(options.write);
    this.events.processName(PID, 'engine');
    this.events.trackName(PID, STEPS, 'steps');
    this.events.trackName(PID, HOST, 'scheduler');
    this.events.trackName(PID, DEVICE, 'device');
    this.events.trackName(PID, REFUSALS, 'refused');
    this.lanes = new RequestLanes(this.events, this.nameOf);
  }

  take(words: Float64Array, length: number): void {
    for (const record of readTimeline(words, length)) this.record(record);
  }

  /** Cuts off what is open and completes the text. */
  close(): void {
    this.lanes.cut(this.toNs);
    this.sums.sequences = this.lanes.sequences;
    const seconds = { from_seconds: this.fromNs / 1e9, to_seconds: this.toNs / 1e9 };
    this.events.close({ ...this.about, ...seconds, complete: this.complete, ...this.sums });
  }

  private record(record: TimelineRecord): void {
    const { sums, lanes } = this;
    this.toNs = Math.max(this.toNs, record.kind === 'step' ? record.endNs : record.ns);
    switch (record.kind) {
      case 'begin':
        this.begin(record.ns, record.blocksTotal);
        break;
      case 'live':
        lanes.live(record);
        break;
      case 'received':
        lanes.received(record);
        break;
      case 'rejected':
        sums.rejected_requests++;
        this.events.instant(PID, REFUSALS, record.reason, record.ns, {
          request: this.nameOf({ id: record.id, index: 0 }),
        });
        break;
      case 'admitted':
        lanes.admitted(record);
        break;
      case 'preempted':
        sums.preemptions++;
        lanes.preempted(record);
        break;
      case 'finished':
        sums.finished_sequences++;
        lanes.finished(record);
        break;
      case 'step':
        this.step(record);
        break;
      case 'end':
        this.complete = record.complete;
        break;
    }
  }

  private begin(ns: number, blocksTotal: number): void {
    this.blocksTotal = blocksTotal;
    if (this.begun) return;
    this.begun = true;
    this.fromNs = ns;
    this.hostNs = ns;
    this.deviceNs = ns;
  }

  private step(step: StepRecord): void {
    const { sums } = this;
    sums.submissions++;
    const failed = step.status !== 'ok';
    if (failed) sums.failed_submissions++;
    else {
      sums.steps += step.stepsRun;
      sums.prefill_tokens += step.prefillTokens;
      sums.decode_tokens += step.decodeTokens * step.stepsRun;
    }
    // A failed one has no length of its own: it lasted from its plan, or the end of the one before it.
    const beganNs = Math.max(failed ? step.plannedNs : step.startNs, this.deviceNs);
    const { endNs } = step;
    const startNs = Math.min(beganNs, endNs);
    const name = failed ? `failed: ${step.status}` : kindOf(step);
    this.events.slice(
      PID,
      STEPS,
      step.stepsRun > 1 ? `${name} x${step.stepsRun}` : name,
      startNs,
      endNs,
      this.args(step),
    );
    this.hostPhases(step);
    const readyNs = Math.min(Math.max(startNs, Math.round(step.plannedNs + step.hostNs)), endNs);
    if (!failed) this.events.slice(PID, DEVICE, name, readyNs, endNs, null);
    this.deviceNs = endNs;
    for (const row of step.rows) this.lanes.row(row, step.step, startNs, endNs);
    this.count(step, startNs);
  }

  private args(step: StepRecord): Record<string, unknown> {
    const args: Record<string, unknown> = {
      step: step.step,
      steps: step.stepsRun,
      decode_rows: step.decodeRows,
      prefill_rows: step.prefillRows,
      decode_tokens: step.decodeTokens,
      prefill_tokens: step.prefillTokens,
      running: step.running,
      waiting: step.waiting,
      swapped: step.swapped,
      new_blocks: step.newBlocks,
      evictions: step.evictions,
    };
    if (step.waitReason !== null) args['head_waits_for'] = step.waitReason;
    if (step.head !== null) args['head'] = this.nameOf(step.head);
    if (step.rows.length === step.decodeRows + step.prefillRows) {
      args['requests'] = step.rows.map(this.nameOf);
      args['sequence_lengths'] = step.rows.map((row) => row.context + row.tokens);
    }
    return args;
  }

  /** One behind the other from when the plan was begun; where time is modelled, the clock stands still meanwhile. */
  private hostPhases(step: StepRecord): void {
    let fromNs = Math.max(step.plannedNs, this.hostNs);
    for (const phase of HOST_PHASES) {
      const ns = Math.round(step.hostPhasesNs[phase]);
      if (ns <= 0) continue;
      this.events.slice(PID, HOST, phase, fromNs, fromNs + ns, null);
      fromNs += ns;
    }
    this.hostNs = fromNs;
  }

  private count(step: StepRecord, startNs: number): void {
    const { blocksUsed, blocksCached } = step;
    const { running, waiting, swapped, decodeRows, prefillRows, decodeTokens, prefillTokens } = step;
    this.counter('batch size', startNs, { decode: decodeRows, prefill: prefillRows });
    this.counter('tokens per step', startNs, { decode: decodeTokens, prefill: prefillTokens });
    this.counter('queues', startNs, { running, waiting, swapped });
    const free = this.blocksTotal - blocksUsed - blocksCached;
    this.counter('KV blocks', step.endNs, { used: blocksUsed, cached: blocksCached, free });
  }

  /** Written when it changes. */
  private counter(name: string, ns: number, values: Readonly<Record<string, number>>): void {
    const text = Object.values(values).join(' ');
    if (this.counters.get(name) === text) return;
    this.counters.set(name, text);
    this.events.counter(PID, name, ns, values);
  }
}

function kindOf(step: StepRecord): string {
  if (step.prefillRows === 0) return 'decode';
  return step.decodeRows === 0 ? 'prefill' : 'mixed';
}

function plainName({ id, index }: SequenceName): string {
  return index === 0 ? String(id) : `${id}.${index}`;
}
