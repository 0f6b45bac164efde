import { assert } from './assert.ts';
import type { Backend, StepDone } from './backend.ts';
import { type Clock, PRIORITY, type Task } from './clock.ts';
import { Deadline } from './deadline.ts';
import { checkLimits, type EngineConfig } from './engine-config.ts';
import { InvariantError, type RejectionReason } from './errors.ts';
import type { EngineEvents } from './events.ts';
import { FlightRecorder } from './flight-recorder.ts';
import type { HostTimer } from './host-timer.ts';
import { HostWork } from './host-work.ts';
import { NONE } from './ids.ts';
import { checkEngine } from './invariants.ts';
import { KvCache } from './kv-cache.ts';
import { rejectionOf } from './rejection.ts';
import type { Request } from './request.ts';
import { RunGrowth } from './run-growth.ts';
import { runLength } from './run-length.ts';
import { Scheduler } from './scheduler.ts';
import { type FinishReason, Sequence } from './sequence.ts';
import type { DraftProposer } from './speculation.ts';
import { failStep } from './step-failure.ts';
import { StepPlan, StepResult } from './step-plan.ts';
import { deliver } from './token-delivery.ts';
import { fillTokenIds } from './token-ids.ts';
import type { TokenSink } from './token-sink.ts';
import { EngineTotals } from './totals.ts';
import { waitingOrderKey } from './waiting-queue.ts';

export interface EngineOptions {
  readonly config: EngineConfig;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly proposer?: DraftProposer | null;
  readonly events?: EngineEvents | null;
  readonly hostTimer?: HostTimer | null;
  /** Never submit a run of steps: for listeners that want to see each step planned (the decision log). */
  readonly singleSteps?: boolean;
}

/**
 * The engine: requests come in, steps are planned, submitted and applied, tokens go out. The same code runs against every
 * backend and clock; nothing is awaited, and nothing happens between a check and its use.
 */
export class Engine implements StepDone, Task {
  readonly config: EngineConfig;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly kv: KvCache;
  readonly scheduler: Scheduler;
  readonly events: EngineEvents | null;
  readonly totals = new EngineTotals();
  readonly recorder = new FlightRecorder();
  /** Leaders of live requests by id. */
  readonly requests = new Map<number, Sequence>();
  /** Siblings that wait for their leader's prompt. */
  held = 0;
  /** The last step that has ended; NONE before the first. */
  stepsDone: number = NONE;
  /** When the last submission ended. */
  lastEndNs: number = NONE;
  /** Submissions out, oldest first. */
  readonly inFlight: StepPlan[] = [];
  private readonly plans: StepPlan[] = [];
  private readonly results: StepResult[] = [];
  private nextPlan = 0;
  private nextStepId = 0;
  private readonly growth: RunGrowth;
  private readonly host: HostWork | null;
  private readonly stepsMax: number;
  private arrivals = 0;
  private wakeArmed = false;
  /** Its process is down: requests find no device. */
  down = false;
  /** Why no request is taken any more; null while they are. */
  refusal: 'draining' | 'device-lost' | null = null;
  private nextCheckNs: number;

  constructor(options: EngineOptions) {
    const { config, backend } = options;
    checkLimits(config, backend.limits);
    this.config = config;
    this.nextCheckNs = config.checkIntervalNs;
    this.backend = backend;
    this.clock = options.clock;
    this.events = options.events ?? null;
    this.kv = new KvCache(config);
    this.host = options.hostTimer ? new HostWork(options.hostTimer, this.events) : null;
    this.scheduler = new Scheduler(config, this.kv, options.proposer ?? null, this.events, this.host);
    this.growth = new RunGrowth(this.kv, config.sequencesMax);
    const runs =
      config.fastForward &&
      backend.limits.impliedTokens &&
      config.stepsInFlight === 1 &&
      this.scheduler.speculation === null;
    this.stepsMax = runs && options.singleSteps !== true ? backend.limits.stepsMax : 1;
    for (let i = 0; i < config.stepsInFlight; i++) {
      const shape = {
        sequencesMax: config.sequencesMax,
        tokensPerStepMax: config.tokensPerStepMax,
        draftTokensMax: config.speculation === null ? 0 : config.speculation.draftTokensMax,
        stepsMax: this.stepsMax,
        tokenIds: !backend.limits.impliedTokens,
      };
      const plan = new StepPlan(shape);
      plan.tables = this.kv.tables;
      plan.tableStride = this.kv.tableStride;
      this.plans.push(plan);
      this.results.push(new StepResult(shape));
    }
  }

  /** Takes a request in, or says why not; either way each of its sequences ends in exactly one finish reason. */
  submit(request: Request, sink: TokenSink): RejectionReason | null {
    assert(!this.requests.has(request.id), 'a live request id is not submitted again');
    const nowNs = this.clock.nowNs();
    const n = request.sampling.n;
    this.totals.requests++;
    this.totals.injected += n;
    const refusal = this.down ? 'device-lost' : this.refusal;
    const reason = refusal ?? rejectionOf(request, this.config, nowNs, this.scheduler.waiting.size + this.held);
    if (reason !== null) this.events?.rejected(request, reason, nowNs);
    let leader: Sequence | null = null;
    for (let index = 0; index < n; index++) {
      const sequence: Sequence = new Sequence(request, index, sink, this.arrivals++, leader, this.config.modelLenMax);
      sequence.orderKey = waitingOrderKey(request, this.config);
      if (reason !== null) {
        sequence.state = 'finished';
        this.close(sequence, 'rejected', nowNs);
        continue;
      }
      if (leader === null) {
        leader = sequence;
        this.requests.set(request.id, sequence);
      } else {
        if (leader.siblings === null) leader.siblings = [];
        leader.siblings.push(sequence);
      }
      if (index > 0 && this.config.siblings === 'fork') {
        sequence.state = 'held';
        this.held++;
      } else {
        this.scheduler.waiting.push(sequence);
      }
      if (request.deadlineNs !== Number.POSITIVE_INFINITY) {
        this.clock.at(request.deadlineNs, PRIORITY.deadline, new Deadline(this, sequence));
      }
      this.events?.received(sequence, nowNs);
    }
    if (reason === null && this.inFlight.length < this.config.stepsInFlight) this.wake(nowNs);
    return reason;
  }

  /** Ends all sequences of a request at once, wherever they are; false when it is not (or no longer) here. */
  abort(requestId: number): boolean {
    const leader = this.requests.get(requestId);
    if (leader === undefined) return false;
    const nowNs = this.clock.nowNs();
    const siblings = leader.siblings;
    if (siblings !== null) for (const sibling of siblings) this.end(sibling, 'abort', nowNs);
    this.end(leader, 'abort', nowNs);
    return true;
  }

  /** The caller found a stop string: the sequence ends as `stop` with its first `tokensKept` output tokens. */
  finish(requestId: number, index: number, tokensKept: number): boolean {
    const leader = this.requests.get(requestId);
    const sequence = index === 0 ? leader : leader?.siblings?.[index - 1];
    if (sequence === undefined || sequence.state === 'finished') return false;
    assert(tokensKept >= 0 && tokensKept <= sequence.outputTokens, 'a stop keeps tokens that exist');
    sequence.outputTokens = tokensKept;
    sequence.knownTokens = sequence.promptTokens + tokensKept;
    this.end(sequence, 'stop', this.clock.nowNs());
    return true;
  }

  /** Whether a submission of more than one step is in flight. */
  private get inRun(): boolean {
    const plan = this.inFlight[0];
    return plan !== undefined && this.results[this.plans.indexOf(plan)]!.stepsRun > 1;
  }

  /** Takes no new requests; those that are here go on to their end. */
  drain(): void {
    this.refusal ??= 'draining';
  }

  /** Nothing runs, waits or is in flight. */
  get idle(): boolean {
    return this.inFlight.length === 0 && this.requests.size === 0;
  }

  /** The clock's wake-up of an engine that had nothing to do. */
  run(nowNs: number): void {
    this.wakeArmed = false;
    this.guarded(() => this.beginSteps(nowNs));
  }

  stepDone(plan: StepPlan, result: StepResult): void {
    try {
      this.apply(plan, result);
      this.beginSteps(this.clock.nowNs());
    } catch (error) {
      throw this.withHistory(error);
    }
  }

  /** Plans and submits steps until enough are in flight or nothing can be computed. */
  beginSteps(nowNs: number): void {
    while (this.inFlight.length < this.config.stepsInFlight && this.beginStep(nowNs));
  }

  /** Plans one step and submits it; false when there is nothing to compute. */
  beginStep(nowNs: number): boolean {
    const scheduler = this.scheduler;
    if (scheduler.running.length === 0 && scheduler.waiting.size === 0 && scheduler.swapped.size === 0) return false;
    if (this.refusal === 'device-lost' || this.recovering) return false;
    const plan = this.plans[this.nextPlan]!;
    plan.restart(this.nextStepId, nowNs);
    // With victim `tail` planning ends at a sequence that preempts itself: those behind it are planned in the same step.
    do scheduler.plan(plan, this.stepsDone);
    while (plan.rows === 0 && scheduler.preempted > 0 && this.inFlight.length === 0);
    if (this.kv.evictedCount > 0) this.reportEvictions(nowNs);
    if (plan.rows === 0) {
      assert(this.inFlight.length > 0, 'work that waits is planned when no step is in flight');
      return false;
    }
    const building = this.host?.start() ?? 0;
    plan.stepsMax = runLength(plan, scheduler, this.growth, this.stepsMax, this.lastEndNs);
    if (plan.tokenIds.length > 0) fillTokenIds(plan);
    this.host?.built(plan, building);
    this.events?.stepPlanned(plan, scheduler.waiting.size, scheduler.swapped.size, scheduler.waitReason, nowNs);
    const result = this.results[this.nextPlan]!;
    result.reset(plan.rows);
    this.nextPlan = (this.nextPlan + 1) % this.plans.length;
    this.nextStepId = plan.stepId + 1;
    this.inFlight.push(plan);
    this.backend.submit(plan, result, this);
    return true;
  }

  /** Applies the oldest submission: tokens are appended, sequences end or go on, blocks return. */
  apply(plan: StepPlan, result: StepResult): void {
    assert(this.inFlight[0] === plan, 'submissions end in the order in which they were made');
    this.inFlight.shift();
    const endNs = this.clock.nowNs();
    const collecting = this.host?.start() ?? 0;
    if (result.status === 'ok') {
      assert(!this.recovering, 'what is behind a failed submission fails as well');
      const steps = result.stepsRun;
      assert(steps >= 1 && steps <= plan.stepsMax, 'a submission runs at least one step and at most those allowed');
      if (steps > 1) {
        this.growth.apply(plan, steps);
        this.nextStepId = plan.stepId + steps;
        if (this.kv.evictedCount > 0) this.reportEvictions(endNs);
      }
      this.stepsDone = plan.stepId + steps - 1;
      this.kv.stepEnded(this.stepsDone);
      this.scheduler.overcommit.stepsDone(steps);
      deliver(this, plan, result, endNs);
      this.count(plan, steps, endNs);
    } else {
      this.totals.failedSubmissions++;
      this.stepsDone = plan.stepId;
      this.kv.stepEnded(plan.stepId);
      failStep(this, plan, result, endNs);
      this.events?.stepFinished(plan, result, endNs, endNs, 0, 0);
      if (result.status === 'device-lost') this.refusal = 'device-lost';
      this.recovering = this.inFlight.length > 0;
    }
    if (this.inFlight.length === 0) this.recovering = false;
    this.host?.collected(plan.rows, result.stepsRun, collecting);
    // Not the clean slate of `restart`: swaps of a plan that found no row are kept by it.
    plan.swapOutCount = 0;
    if (endNs >= this.nextCheckNs) this.check(endNs);
  }

  /** After a failed step no new one is planned until those behind it have come back, failed as well. */
  recovering = false;

  /** Full check of all laws; throws InvariantError. */
  check(nowNs: number): void {
    this.nextCheckNs = nowNs + this.config.checkIntervalNs;
    this.guarded(() => checkEngine(this));
  }

  /** Ends a live sequence: out of its queue, blocks and slot back, sink and listeners told. */
  end(sequence: Sequence, reason: FinishReason, nowNs: number): void {
    switch (sequence.state) {
      case 'finished':
        return;
      case 'held':
        this.held--;
        break;
      case 'waiting':
        this.scheduler.waiting.remove(sequence);
        sequence.waitedNs += nowNs - sequence.waitingSinceNs;
        break;
      case 'swapped':
        this.scheduler.swapped.remove(sequence);
        sequence.waitedNs += nowNs - sequence.waitingSinceNs;
        break;
      case 'running':
        assert(sequence.inFlight === 0 || !this.inRun, 'a sequence ends inside a run of steps only at what cuts runs');
        this.scheduler.removeRunning(sequence);
        break;
    }
    sequence.state = 'finished';
    this.close(sequence, reason, nowNs);
    this.kv.release(sequence, this.stepsDone);
    this.scheduler.freeSlot(sequence);
    if (sequence.index === 0) this.releaseSiblings(sequence, nowNs);
    this.forget(sequence);
  }

  /** The leader's prompt is computed (or it ended before): its siblings may be admitted. */
  releaseSiblings(leader: Sequence, nowNs: number): void {
    if (leader.siblings === null) return;
    for (const sibling of leader.siblings) {
      if (sibling.state !== 'held') continue;
      this.held--;
      sibling.state = 'waiting';
      this.scheduler.waiting.push(sibling);
    }
    if (this.inFlight.length < this.config.stepsInFlight) this.wake(nowNs);
  }

  private close(sequence: Sequence, reason: FinishReason, nowNs: number): void {
    sequence.finishReason = reason;
    sequence.finishedNs = nowNs;
    this.totals.ends(reason);
    if (this.events !== null) this.events.finished(sequence, nowNs);
    sequence.sink.finished(sequence, reason);
  }

  /** Drops a request once all its sequences have ended. */
  private forget(sequence: Sequence): void {
    const leader = sequence.leader ?? sequence;
    if (leader.state !== 'finished') return;
    if (leader.siblings !== null) for (const sibling of leader.siblings) if (sibling.state !== 'finished') return;
    this.requests.delete(leader.request.id);
  }

  private count(plan: StepPlan, steps: number, endNs: number): void {
    const totals = this.totals;
    totals.steps += steps;
    totals.sequenceSteps += steps * plan.rows;
    totals.submissions++;
    totals.prefillTokens += plan.prefillTokens;
    totals.decodeTokens += steps * plan.decodeTokens;
    const scheduler = this.scheduler;
    this.recorder.record(
      plan.stepId,
      endNs,
      plan.rows,
      plan.prefillTokens,
      plan.decodeTokens,
      steps,
      scheduler.running.length,
      scheduler.waiting.size,
      scheduler.swapped.size,
      this.kv.pool.available,
    );
  }

  private reportEvictions(nowNs: number): void {
    const kv = this.kv;
    this.totals.evictions += kv.evictedCount;
    this.events?.evicted(kv.evicted, kv.evictedCount, nowNs);
    kv.clearEvicted();
  }

  private wake(nowNs: number): void {
    if (this.wakeArmed) return;
    this.wakeArmed = true;
    this.clock.at(nowNs, PRIORITY.engine, this);
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      throw this.withHistory(error);
    }
  }

  private withHistory(error: unknown): unknown {
    if (error instanceof InvariantError && error.history.length === 0) error.history = this.recorder.lines();
    return error;
  }
}
