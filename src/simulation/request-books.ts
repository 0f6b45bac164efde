import type { FinishReason, RejectionReason, Request, Sequence } from '../core/index.ts';

/** Requests by how they ended. A request is one, however many sequences it has. */
export interface RequestCounts {
  readonly injected: number;
  readonly completed: number;
  readonly rejected: number;
  readonly aborted: number;
  readonly timedOut: number;
  readonly failed: number;
}

type Outcome = Exclude<keyof RequestCounts, 'injected'>;

/**
 * Where every request went. One with several sequences (n > 1) ends with the last of them: completed when all are, else as
 * the first that is not.
 */
export class RequestBooks {
  readonly rejections: Partial<Record<RejectionReason, number>> = {};
  private injected = 0;
  private readonly ended: Record<Outcome, number> = { completed: 0, rejected: 0, aborted: 0, timedOut: 0, failed: 0 };
  /** Of requests with n > 1 that have begun to end: sequences left, and the outcome so far. */
  private readonly parts = new Map<number, { left: number; outcome: Outcome }>();

  received(_request: Request): void {
    this.injected++;
  }

  rejected(_request: Request, reason: RejectionReason): void {
    this.injected++;
    this.rejections[reason] = (this.rejections[reason] ?? 0) + 1;
  }

  finished(sequence: Sequence, reason: FinishReason): void {
    const outcome = outcomeOf(reason);
    const { id, sampling } = sequence.request;
    if (sampling.n <= 1) {
      this.ended[outcome]++;
      return;
    }
    const part = this.parts.get(id) ?? { left: sampling.n, outcome: 'completed' };
    if (part.outcome === 'completed') part.outcome = outcome;
    if (--part.left > 0) {
      this.parts.set(id, part);
    } else {
      this.parts.delete(id);
      this.ended[part.outcome]++;
    }
  }

  counts(): RequestCounts {
    return { injected: this.injected, ...this.ended };
  }
}

/** How a request's end is booked, by the finish reason of its sequence. */
function outcomeOf(reason: FinishReason): Outcome {
  switch (reason) {
    case 'stop':
    case 'length':
      return 'completed';
    case 'rejected':
      return 'rejected';
    case 'abort':
      return 'aborted';
    case 'timeout':
      return 'timedOut';
    case 'error':
      return 'failed';
  }
}
