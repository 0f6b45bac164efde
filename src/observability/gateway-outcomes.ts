import { NONE, type Sequence } from '../core/index.ts';
import { type CallEnd, callEndOf, type GatewayMetrics } from './gateway-metrics.ts';

/**
 * The gateway's series of an engine that has no gateway before it: each request of a simulated run counts as a call to a
 * server would. A request with n sequences ends with the first that does not complete, or with the last one.
 */
export class GatewayOutcomes {
  private readonly metrics: GatewayMetrics;
  /** Sequences left of requests with n > 1. */
  private readonly left = new Map<number, number>();

  constructor(metrics: GatewayMetrics) {
    this.metrics = metrics;
  }

  received(sequence: Sequence): void {
    if (sequence.index > 0) return;
    this.metrics.received();
    const { id, sampling } = sequence.request;
    if (sampling.n > 1) this.left.set(id, sampling.n);
  }

  rejected(): void {
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
