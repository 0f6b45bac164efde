import { NONE } from '../../core/index.ts';
import type {
  AdmittedRecord,
  FinishedRecord,
  LiveRecord,
  PreemptedRecord,
  ReceivedRecord,
  SequenceName,
  StepRow,
} from './timeline-record.ts';
import type { TraceArgs, TraceEvents } from './trace-events.ts';

/** What a request does between two records; `computing`: it is in the batch and has no token since its admission. */
type Phase = 'queued' | 'preempted' | 'swapped' | 'computing' | 'decode';

interface Lane {
  readonly tid: number;
  readonly label: string;
  phase: Phase;
  phaseNs: number;
  /** Where the track has got to. */
  lastNs: number;
  /** It had tokens before: what it computes, it computes again. */
  again: boolean;
}

const PID = 2;

/**
 * A track per request that is here, used again when it has ended: a slice for its whole life, and in it one for each phase
 * (queued, prefill chunks, decode, preempted, swapped).
 */
export class RequestLanes {
  /** Sequences that began on a track. */
  sequences = 0;
  private readonly events: TraceEvents;
  private readonly nameOf: (sequence: SequenceName) => string;
  private readonly lanes = new Map<number, Lane>();
  /** Tracks that nobody uses, the lowest last. */
  private readonly free: number[] = [];
  private tracks = 0;

  constructor(events: TraceEvents, nameOf: (sequence: SequenceName) => string) {
    this.events = events;
    this.nameOf = nameOf;
    events.processName(PID, 'requests');
  }

  live(record: LiveRecord): void {
    if (this.lanes.has(keyOf(record))) return;
    const { state, ns, arrivalNs, firstTokenNs, promptTokens, outputTokensMax, priority } = record;
    const args = { prompt_tokens: promptTokens, max_output_tokens: outputTokensMax, priority };
    const lane = this.open(record, ns, { ...args, arrived_before_ms: ms(ns - arrivalNs) });
    lane.again = firstTokenNs !== NONE;
    if (state === 'running') lane.phase = record.prefilling ? 'computing' : 'decode';
    else if (state === 'swapped') lane.phase = 'swapped';
    else if (record.preemptions > 0) lane.phase = 'preempted';
  }

  received(record: ReceivedRecord): void {
    if (this.lanes.has(keyOf(record))) return;
    const { ns, promptTokens, outputTokensMax, priority } = record;
    this.open(record, ns, { prompt_tokens: promptTokens, max_output_tokens: outputTokensMax, priority });
  }

  admitted(record: AdmittedRecord): void {
    const lane = this.lanes.get(keyOf(record));
    if (lane === undefined) return;
    const { ns, hitTokens, blocks } = record;
    this.closePhase(lane, ns, { cached_tokens: hitTokens, blocks });
    lane.phase = 'computing';
    lane.phaseNs = ns;
  }

  row(row: StepRow, step: number, startNs: number, endNs: number): void {
    if (!row.prefilling) return;
    const lane = this.lanes.get(keyOf(row));
    if (lane === undefined || lane.phase !== 'computing') return;
    const args = { step, tokens: row.tokens, context: row.context };
    this.slice(lane, lane.again ? 'recompute' : 'prefill', startNs, endNs, args);
    if (!row.samples) return;
    lane.again = true;
    lane.phase = 'decode';
    lane.phaseNs = endNs;
  }

  preempted(record: PreemptedRecord): void {
    const lane = this.lanes.get(keyOf(record));
    if (lane === undefined) return;
    this.closePhase(lane, record.ns, null);
    lane.phase = record.swapped ? 'swapped' : 'preempted';
    lane.phaseNs = record.ns;
    const args = { reason: record.reason, made_room_for: this.nameOf(record.by), lost_tokens: record.lostTokens };
    this.events.instant(PID, lane.tid, 'preempted', Math.max(lane.lastNs, record.ns), args);
  }

  finished(record: FinishedRecord): void {
    const lane = this.lanes.get(keyOf(record));
    if (lane === undefined) return;
    const { ns, arrivalNs, firstTokenNs, outputTokens } = record;
    this.closePhase(lane, ns, null);
    this.close(lane, keyOf(record), ns, {
      finish_reason: record.reason,
      ...(firstTokenNs === NONE ? {} : { ttft_ms: ms(firstTokenNs - arrivalNs) }),
      e2e_ms: ms(ns - arrivalNs),
      waited_ms: ms(record.waitedNs),
      output_tokens: outputTokens,
      cached_tokens: record.cachedTokens,
      recomputed_tokens: record.recomputedTokens,
      preemptions: record.preemptions,
    });
  }

  /** Recording ends: what is open is cut off there. */
  cut(ns: number): void {
    for (const [key, lane] of this.lanes) {
      this.closePhase(lane, ns, null);
      this.close(lane, key, ns, { goes_on: true });
    }
  }

  private open(sequence: SequenceName, ns: number, args: TraceArgs): Lane {
    let tid = this.free.pop();
    if (tid === undefined) {
      tid = ++this.tracks;
      this.events.trackName(PID, tid, `request track ${tid}`);
    }
    const label = this.nameOf(sequence);
    const lane: Lane = { tid, label, phase: 'queued', phaseNs: ns, lastNs: ns, again: false };
    this.lanes.set(keyOf(sequence), lane);
    this.sequences++;
    this.events.begin(PID, tid, `request ${label}`, ns, { request: label, ...args });
    return lane;
  }

  private close(lane: Lane, key: number, ns: number, args: TraceArgs): void {
    this.events.end(PID, lane.tid, Math.max(ns, lane.lastNs), args);
    this.lanes.delete(key);
    let at = this.free.length;
    while (at > 0 && this.free[at - 1]! < lane.tid) at--;
    this.free.splice(at, 0, lane.tid);
  }

  /** Draws the phase that ends, but for `computing`, whose chunks are drawn one by one. */
  private closePhase(lane: Lane, ns: number, args: TraceArgs | null): void {
    if (lane.phase !== 'computing' && ns > lane.phaseNs) this.slice(lane, lane.phase, lane.phaseNs, ns, args);
  }

  private slice(lane: Lane, name: string, startNs: number, endNs: number, args: TraceArgs | null): void {
    const fromNs = Math.max(startNs, lane.lastNs);
    const toNs = Math.max(endNs, fromNs);
    this.events.slice(PID, lane.tid, name, fromNs, toNs, args);
    lane.lastNs = toNs;
  }
}

const SEQUENCES_PER_REQUEST = 65_536;

function keyOf({ id, index }: SequenceName): number {
  return id * SEQUENCES_PER_REQUEST + index;
}

function ms(ns: number): number {
  return Math.round(ns / 1e3) / 1e3;
}
