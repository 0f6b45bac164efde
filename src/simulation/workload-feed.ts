import {
  type Engine,
  type FinishReason,
  PRIORITY,
  Request,
  type Sequence,
  type Task,
  type TokenSink,
  type VirtualClock,
} from '../core/index.ts';
import type { Workload, WorkloadRequest } from './workload.ts';

/**
 * Hands a workload's requests to an engine at their times. One arrival is armed at a time, so the engine always knows how
 * far it may run; when a batch is used up the clock stops until the next one is there.
 */
export class WorkloadFeed implements Task, TokenSink {
  /** Sequences that have ended, in whatever way. */
  ended = 0;
  private readonly engine: Engine;
  private readonly clock: VirtualClock;
  private readonly workload: Workload;
  private batch: WorkloadRequest[] = [];
  private next = 0;
  private requests = 0;

  constructor(engine: Engine, clock: VirtualClock, workload: Workload) {
    this.engine = engine;
    this.clock = clock;
    this.workload = workload;
  }

  /** Arms the first arrival of a batch. The one before must be used up. */
  load(batch: WorkloadRequest[]): void {
    this.batch = batch;
    this.next = 0;
    this.arm();
  }

  /** Whether the clock has to wait for the next batch. */
  get empty(): boolean {
    return this.next === this.batch.length;
  }

  /** An arrival is due. */
  run(nowNs: number): void {
    this.submit(this.batch[this.next++]!, nowNs);
    if (this.next < this.batch.length) this.arm();
    else this.clock.stop();
  }

  tokens(): void {}

  finished(sequence: Sequence, _reason: FinishReason): void {
    this.ended++;
    if (sequence.index > 0) return;
    const following = this.workload.afterFinished(sequence.finishedNs);
    if (following !== null) this.clock.at(following.arrivalNs, PRIORITY.arrival, new Arrival(this, following));
  }

  submit(from: WorkloadRequest, nowNs: number): void {
    this.engine.submit(
      new Request(
        this.requests++,
        nowNs,
        from.prompt,
        from.outputTokensMax,
        from.sampling,
        from.priority,
        from.cacheSalt,
        nowNs + from.timeoutNs,
        from.impliedOutputTokens,
      ),
      this,
    );
  }

  private arm(): void {
    const { arrivalNs } = this.batch[this.next]!;
    const nowNs = this.clock.nowNs();
    this.clock.at(arrivalNs > nowNs ? arrivalNs : nowNs, PRIORITY.arrival, this);
  }
}

/** An arrival that a finished request led to (closed loop). */
class Arrival implements Task {
  private readonly feed: WorkloadFeed;
  private readonly request: WorkloadRequest;

  constructor(feed: WorkloadFeed, request: WorkloadRequest) {
    this.feed = feed;
    this.request = request;
  }

  run(nowNs: number): void {
    this.feed.submit(this.request, nowNs);
  }
}
