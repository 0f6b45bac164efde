import {
  type EngineEvents,
  type HostPhase,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type Request,
  type Sequence,
  type StepPlan,
  type StepResult,
  type WaitReason,
} from '../core/index.ts';
import { type CallEnd, callEndOf, type GatewayMetrics } from './gateway-metrics.ts';

/**
 * The gateway's series of an engine that has no gateway before it: each request of a simulated run counts as a call to a
 * server would. A request with n sequences ends with the first that does not complete, or with the last one.
 */
export class GatewayOutcomes implements EngineEvents {
  private readonly metrics: GatewayMetrics;
  /** Sequences left of requests with n > 1. */
  private readonly left = new Map<number, number>();

  constructor(metrics: GatewayMetrics) {
    this.metrics = metrics;
  }

  received(sequence: Sequence, _nowNs: number): void {
    if (sequence.index > 0) return;
    this.metrics.received();
    const { id, sampling } = sequence.request;
    if (sampling.n > 1) this.left.set(id, sampling.n);
  }

  rejected(_request: Request, _reason: RejectionReason, _nowNs: number): void {
    this.metrics.received();
    this.metrics.ended('rejected', 'completion', 0);
  }

  finished(sequence: Sequence, nowNs: number): void {
    const end = callEndOf(sequence.finishReason!);
    if (end === 'rejected') return;
    const { arrivalNs } = sequence.request;
    this.metrics.tokens(sequence.outputTokens);
    if (sequence.firstTokenNs !== NONE) this.metrics.firstToken((sequence.firstTokenNs - arrivalNs) / 1e9);
    if (this.isLast(sequence, end)) this.metrics.ended(end, 'completion', (nowNs - arrivalNs) / 1e9);
  }

  admitted(_sequence: Sequence, _hitTokens: number, _blocks: number, _resumed: boolean, _nowNs: number): void {}

  preempted(_sequence: Sequence, _reason: PreemptionReason, _swapped: boolean, _nowNs: number): void {}

  evicted(_blocks: Int32Array, _count: number, _nowNs: number): void {}

  stepPlanned(_plan: StepPlan, _waiting: number, _swapped: number, _reason: WaitReason | null, _nowNs: number): void {}

  hostPhase(_phase: HostPhase, _ns: number): void {}

  stepFinished(
    _plan: StepPlan,
    _result: StepResult,
    _startNs: number,
    _endNs: number,
    _gapRows: number,
    _leadNs: number,
  ): void {}

  tokenGap(_gapNs: number, _count: number): void {}

  private isLast(sequence: Sequence, end: CallEnd): boolean {
    const { id, sampling } = sequence.request;
    if (sampling.n <= 1) return true;
    const left = this.left.get(id);
    // Ended before, with a sequence that did not complete.
    if (left === undefined) return false;
    if (end === 'completed' && left > 1) {
      this.left.set(id, left - 1);
      return false;
    }
    this.left.delete(id);
    return true;
  }
}
