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
import type { Frontend } from './frontend.ts';
import type { Workload, WorkloadRequest } from './workload.ts';

/**
 * Hands a workload's requests to an engine at their times. One arrival is armed at a time, so the engine always knows how
 * far it may run; when a batch is used up the clock stops until the next one is there. With a frontend a request is on its way to the engine for
 * a while, and so are its first token and its end on the way back.
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
  private readonly frontend: Frontend | null;
  /** Requests that were sent and that the engine has not seen. */
  private underway = 0;
  /** Sequences that the engine has got and not ended. */
  private live = 0;

  constructor(engine: Engine, clock: VirtualClock, workload: Workload, frontend: Frontend | null = null) {
    this.engine = engine;
    this.clock = clock;
    this.workload = workload;
    this.frontend = frontend;
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

  /** Whether everything that was loaded has come to the engine. */
  get delivered(): boolean {
    return this.empty && this.underway === 0;
  }

  /** An arrival is due. */
  run(nowNs: number): void {
    this.send(this.batch[this.next++]!, nowNs);
    if (this.next < this.batch.length) this.arm();
    else this.clock.stop();
  }

  tokens(sequence: Sequence, from: number): void {
    if (from === 0) this.frontend?.deliverFirstToken(sequence, this.live);
  }

  finished(sequence: Sequence, _reason: FinishReason): void {
    this.ended++;
    this.live--;
    if (sequence.index > 0) return;
    const following = this.workload.afterFinished(sequence.finishedNs + (this.frontend?.endNs ?? 0));
    if (following !== null) this.clock.at(following.arrivalNs, PRIORITY.arrival, new Arrival(this, following));
  }

  /** A client sends a request now. */
  send(request: WorkloadRequest, nowNs: number): void {
    if (this.frontend === null) {
      this.submit(request, nowNs, nowNs);
      return;
    }
    this.underway++;
    const inEngineNs = nowNs + this.frontend.requestNs(request.prompt.length);
    this.clock.at(inEngineNs, PRIORITY.arrival, new Underway(this, request, nowNs));
  }

  /** A request that was underway is in the engine now. */
  deliver(request: WorkloadRequest, sentNs: number, nowNs: number): void {
    this.underway--;
    this.submit(request, sentNs, nowNs);
  }

  private submit(from: WorkloadRequest, sentNs: number, nowNs: number): void {
    this.live += from.sampling.n;
    this.engine.submit(new Request(this.requests++, nowNs, from, sentNs), this);
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
    this.feed.send(this.request, nowNs);
  }
}

/** A request between its client and the engine. */
class Underway implements Task {
  private readonly feed: WorkloadFeed;
  private readonly request: WorkloadRequest;
  private readonly sentNs: number;

  constructor(feed: WorkloadFeed, request: WorkloadRequest, sentNs: number) {
    this.feed = feed;
    this.request = request;
    this.sentNs = sentNs;
  }

  run(nowNs: number): void {
    this.feed.deliver(this.request, this.sentNs, nowNs);
  }
}
