import type { FinishReason } from './sequence.ts';

/** Counters of an engine since it was made; sequences of a request with n > 1 count one by one. */
export class EngineTotals {
  /** Requests handed to `submit`, and their sequences. */
  requests = 0;
  injected = 0;
  /** Ended as stop or length. */
  completed = 0;
  rejected = 0;
  aborted = 0;
  timedOut = 0;
  failed = 0;
  /** Steps that ended well, and rows of them. */
  steps = 0;
  sequenceSteps = 0;
  /** Submissions: runs of steps count once. */
  submissions = 0;
  failedSubmissions = 0;
  prefillTokens = 0;
  decodeTokens = 0;
  outputTokens = 0;
  evictions = 0;

  ends(reason: FinishReason): void {
    switch (reason) {
      case 'stop':
      case 'length':
        this.completed++;
        return;
      case 'rejected':
        this.rejected++;
        return;
      case 'abort':
        this.aborted++;
        return;
      case 'timeout':
        this.timedOut++;
        return;
      case 'error':
        this.failed++;
        return;
    }
  }

  get ended(): number {
    return this.completed + this.rejected + this.aborted + this.timedOut + this.failed;
  }
}
