import { NONE } from '../../core/index.ts';
import type { SequenceRecord } from './sequence-record.ts';

/** Why a trace was kept, the strongest reason. */
export const KEEP_REASONS = ['error', 'slow_ttft', 'preempted', 'caller', 'ratio'] as const;
export type KeepReason = (typeof KEEP_REASONS)[number];

/** What becomes of spans that are kept and yet lost. */
export const DROP_REASONS = ['queue_full', 'export_failed'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export interface KeepRules {
  /** Traces with a later first token are kept, ms. */
  readonly slowTtftMs: number;
  /** Share of all others that is kept, 0 .. 1, decided by trace id so that every service decides alike. */
  readonly sampleRatio: number;
}

/** What a trace is judged by when it is complete. */
export interface TraceVerdict {
  /** Of the trace id: see `ratioPosition`. */
  readonly position: number;
  readonly failed: boolean;
  /** Time to the first token or, where none came, to the end; NaN when nothing was generated. */
  readonly ttftMs: number;
  readonly preemptions: number;
  /** null: there was no caller with an opinion. */
  readonly parentSampled: boolean | null;
}

/** Why to keep a trace, or null. A caller that does not keep its part is followed but for what an operator must see. */
export function keepReason(trace: TraceVerdict, rules: KeepRules): KeepReason | null {
  if (trace.failed) return 'error';
  if (trace.ttftMs > rules.slowTtftMs) return 'slow_ttft';
  if (trace.preemptions > 0) return 'preempted';
  if (trace.parentSampled !== null) return trace.parentSampled ? 'caller' : null;
  return inRatio(trace.position, rules.sampleRatio) ? 'ratio' : null;
}

/** Where a trace id stands in [0, 1): its last 52 bits, which W3C Trace Context level 2 has random. */
export function ratioPosition(traceId: string): number {
  return Number.parseInt(traceId.slice(-13), 16) / 2 ** 52;
}

/** Whether a trace is among the share that is kept: the upper `ratio` of the positions. */
export function inRatio(position: number, ratio: number): boolean {
  return position >= 1 - ratio;
}

/** Time to the first token of a sequence, or to its end where there was none, in the engine's ms. */
export function ttftMs(record: SequenceRecord): number {
  if (record.finishReason === 'rejected') return Number.NaN;
  return ((record.firstTokenNs === NONE ? record.finishedNs : record.firstTokenNs) - record.receivedNs) / 1e6;
}
