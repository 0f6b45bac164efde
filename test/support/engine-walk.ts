import { expect } from 'vitest';
import {
  type DraftProposer,
  type EngineConfig,
  NONE,
  ordersAfter,
  PrefixCache,
  type Sequence,
  type StepPlan,
} from '../../src/core/index.ts';
import { EngineRig } from './engine-rig.ts';

/** One thing that happens to an engine from outside. Numbers choose among what is there. */
export type Action =
  | {
      readonly kind: 'submit';
      readonly prompt: readonly number[];
      readonly output: number;
      readonly n: number;
      readonly priority: number;
      readonly salt: number;
      readonly patienceNs: number;
      /** Takes the id of a request that has ended, if there is one. */
      readonly reusesId?: boolean;
      /** Goes on from all that a live sequence has said so far, if there is one. */
      readonly continues?: number | null;
    }
  | { readonly kind: 'steps'; readonly count: number }
  | { readonly kind: 'begin' }
  /** Until nothing is left to do. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'abort'; readonly which: number }
  | { readonly kind: 'finish'; readonly which: number; readonly keep: number }
  | { readonly kind: 'fail'; readonly status: 'transient' | 'sticky' };

/** Drafts that are right for a while: the walk accepts as many as a formula of the sequence says. */
class FormulaDrafts implements DraftProposer {
  propose(sequence: Sequence, draftsMax: number, into: Int32Array, at: number): number {
    const drafts = (sequence.request.id * 5 + sequence.outputTokens * 11) % (draftsMax + 1);
    into.fill(5, at, at + drafts);
    return drafts;
  }
}

const accept = (sequence: Sequence, drafts: number) =>
  (sequence.request.id * 7 + sequence.outputTokens * 13) % (drafts + 1);

/**
 * Walks an engine through actions and then to its end, and checks after each step: `checkEngine` (by the configuration),
 * the physical memory (by the rig), and the laws of scheduling below.
 */
export class EngineWalk {
  readonly rig: EngineRig;
  readonly config: EngineConfig;
  /** Steps planned so far. */
  steps = 0;
  /** Times that a sequence arrived before, no less urgent, was passed over while it waited: the largest number of all. */
  overtakenMax = 0;
  /** Live sequences in the order of their arrival, with the times that a later one was admitted while they waited. */
  private readonly live = new Map<Sequence, number>();
  private swappedOut = new Set<Sequence>();
  private fencedBefore = 0;
  private injected = 0;
  private readonly ends = { stop: 0, length: 0, abort: 0, rejected: 0, timeout: 0, error: 0 };
  private nextId = 1;
  private endedIds: number[] = [];
  private failures = 0;
  private failing: 'transient' | 'sticky' | null = null;

  constructor(config: Partial<EngineConfig>) {
    this.rig = new EngineRig({
      config: { ...config, checkIntervalNs: 0 },
      proposer: new FormulaDrafts(),
      onAdmitted: (sequence) => this.checkAdmission(sequence),
      onPreempted: (victim, swapped) => this.checkPreemption(victim, swapped),
    });
    this.config = this.rig.engine.config;
  }

  run(actions: readonly Action[]): void {
    for (const action of actions) this.act(action);
    this.drain();
    this.checkEnd();
  }

  /** To the end of all that is there. */
  private drain(): void {
    // Every live sequence needs at most this many steps if it were alone and never disturbed; preemptions repeat work.
    for (let i = 0; this.step(); i++) expect(i, 'the walk comes to an end').toBeLessThan(5000);
  }

  private act(action: Action): void {
    const { rig } = this;
    switch (action.kind) {
      case 'submit': {
        const spec = {
          prompt: [...this.said(action), ...action.prompt],
          outputTokensMax: action.output,
          sampling: { n: action.n },
          priority: action.priority,
          cacheSalt: action.salt,
          ...(action.patienceNs === 0 ? {} : { deadlineNs: rig.clock.nowNs() + action.patienceNs }),
        };
        const id = (action.reusesId === true ? this.endedIds.pop() : undefined) ?? this.nextId++;
        for (const sequence of rig.submitAll(spec, id)) this.live.set(sequence, 0);
        return;
      }
      case 'drain':
        this.drain();
        this.checkEnd();
        this.forget();
        return;
      case 'steps':
        for (let i = 0; i < action.count; i++) this.step();
        return;
      case 'begin':
        this.begin();
        return;
      case 'abort': {
        const ids = [...rig.engine.requests.keys()];
        if (ids.length > 0) expect(rig.engine.abort(ids[action.which % ids.length]!)).toBe(true);
        break;
      }
      case 'finish':
        this.finishOne(action.which, action.keep);
        break;
      case 'fail':
        if (rig.backend.out.length > 0) {
          this.failing = action.status;
          this.end();
        }
        return;
    }
    rig.engine.check(rig.clock.nowNs());
  }

  /** Text of the live sequence that a request goes on from, cut to what its own prompt and output leave. */
  private said({ continues, prompt, output }: Action & { kind: 'submit' }): readonly number[] {
    const live =
      continues === undefined || continues === null ? [] : [...this.live.keys()].filter((s) => s.state !== 'finished');
    if (live.length === 0) return [];
    const sequence = live[continues! % live.length]!;
    const { modelLenMax, blockSize, blocksTotal } = this.config;
    const room = Math.min(modelLenMax, blockSize * blocksTotal) - prompt.length - output;
    return this.rig
      .memory!.text(sequence, sequence.knownTokens)
      .slice(0, Math.max(0, Math.min(room, sequence.knownTokens)));
  }

  /** As the gateway does when it finds a stop string. */
  private finishOne(which: number, keep: number): void {
    const live = [...this.rig.heard.keys()].filter((s) => s.state !== 'finished' && s.outputTokens > 0);
    if (live.length === 0) return;
    const sequence = live[which % live.length]!;
    this.rig.engine.finish(sequence.request.id, sequence.index, keep % (sequence.outputTokens + 1));
  }

  private begin(): StepPlan | null {
    const { engine, backend } = this.rig;
    if (backend.out.length === this.config.stepsInFlight) return null;
    const couldWork = backend.out.length === 0 && !engine.idle;
    this.forget();
    this.swappedOut = new Set([...this.live.keys()].filter((sequence) => sequence.state === 'swapped'));
    this.fencedBefore = engine.kv.pool.fenced;
    const plan = this.rig.begin();
    if (couldWork) expect(plan, 'work that waits is planned').not.toBeNull();
    if (plan !== null) this.checkPlan(plan);
    return plan;
  }

  private step(): boolean {
    const planned = this.begin() !== null;
    const { out } = this.rig.backend;
    if (out.length === 0) return planned;
    if (planned && out.length < this.config.stepsInFlight) return true;
    this.end();
    return true;
  }

  /** A step behind one that failed fails as well: it may have read what was never written. */
  private end(): void {
    if (this.failing === null) {
      this.rig.end({ accept });
    } else {
      this.failures++;
      this.rig.end({ status: this.failing });
      if (this.rig.backend.out.length === 0) this.failing = null;
    }
  }

  /** Drops what has ended; the ids are free for others. */
  private forget(): void {
    for (const sequence of this.live.keys()) {
      if (sequence.state !== 'finished') continue;
      this.live.delete(sequence);
      if (sequence.index === 0 && !this.rig.engine.requests.has(sequence.request.id))
        this.endedIds.push(sequence.request.id);
    }
  }

  private checkPlan(plan: StepPlan): void {
    const { scheduler, kv } = this.rig.engine;
    this.steps++;
    let tokens = 0;
    const slots = new Set<number>();
    for (let row = 0; row < plan.rows; row++) {
      const computed = plan.newTokens[row]!;
      expect(computed).toBeGreaterThan(plan.draftTokens[row]!);
      if (!this.config.chunkedPrefill) expect(plan.samples[row], 'a prompt is not cut without chunked prefill').toBe(1);
      if (this.config.prefillChunkTokensMax > 0 && plan.draftTokens[row] === 0)
        expect(computed).toBeLessThanOrEqual(this.config.prefillChunkTokensMax);
      tokens += computed;
      slots.add(plan.slots[row]!);
    }
    expect(plan.rows).toBeGreaterThan(0);
    expect(slots.size, 'one row per slot').toBe(plan.rows);
    expect(tokens).toBe(plan.tokens);
    this.checkChains();
    if (tokens < this.config.tokensPerStepMax) this.checkLeftOut(plan);
    expect(tokens).toBeLessThanOrEqual(this.config.tokensPerStepMax);
    expect(scheduler.runningCount).toBeLessThanOrEqual(this.config.sequencesMax);
    const head = scheduler.waiting.peek();
    expect(scheduler.waitReason === null, 'who waits is told why').toBe(
      head === null && scheduler.swapped.size === 0 && scheduler.waitReason !== 'in-flight',
    );
    if (head === null || scheduler.swapped.size > 0) return;
    if (scheduler.waitReason === 'sequences') expect(scheduler.runningCount).toBe(this.config.sequencesMax);
    if (scheduler.waitReason === 'budget' && this.config.chunkedPrefill)
      expect(tokens).toBe(this.config.tokensPerStepMax);
    const { capacity, admissionRetrySteps, bypassMax } = this.config;
    if (scheduler.waitReason !== 'blocks' || capacity !== 'as-needed' || admissionRetrySteps > 0 || bypassMax > 0)
      return;
    // Work conservation: the head really does not fit, not even without its partial hit.
    kv.lookup(head, this.rig.engine.stepsDone);
    kv.dropPartial();
    let chunk = Math.min(head.knownTokens - kv.hitTokens, this.config.tokensPerStepMax - tokens);
    if (this.config.prefillChunkTokensMax > 0) chunk = Math.min(chunk, this.config.prefillChunkTokensMax);
    expect(kv.canAdmit(kv.hitTokens + chunk), 'nobody waits for blocks that are there').toBe(false);
  }

  /** What a running sequence published or hit is one chain in the index, from its salt to the node it stands on. */
  private checkChains(): void {
    const { scheduler, kv } = this.rig.engine;
    for (const sequence of scheduler.running) {
      let parent = PrefixCache.root(sequence.request.cacheSalt);
      for (let i = 0; i < sequence.cacheBlocks; i++) {
        const node = kv.cache.nodeOf(kv.tables[sequence.slot * kv.tableStride + i]!);
        if (node !== NONE && kv.cache.parentOf(node) === parent) {
          parent = node;
          continue;
        }
        const { request, index } = sequence;
        expect.fail(`request ${request.id}.${index}: published block ${i} has no content, or hangs on another block`);
      }
      if (sequence.cacheBlocks > 0) expect(sequence.cacheNode).toBe(parent);
    }
  }

  /** With tokens left in the budget, a running sequence that is not in the plan waits for a token or for blocks in flight. */
  private checkLeftOut(plan: StepPlan): void {
    const { scheduler, kv } = this.rig.engine;
    // As in vLLM, planning may end at the tail of the order; with another order than theirs, that is not the last to run.
    if (this.config.victim === 'tail' && this.config.order === 'priority') return;
    const planned = new Set(plan.sequences.slice(0, plan.rows));
    for (const sequence of scheduler.running) {
      if (planned.has(sequence)) continue;
      const { blockSize, prefillChunkTokensMax } = this.config;
      const { placeholders } = sequence;
      if (placeholders > 0) {
        // Drafts are in flight, or may follow the token that is; or it is the last one.
        if (placeholders > 1 || this.config.speculation !== null) continue;
        if (sequence.outputTokens + 1 >= sequence.outputTokensMax) continue;
      }
      const left = sequence.knownTokens + placeholders - sequence.computedTokens;
      const chunk = prefillChunkTokensMax === 0 ? left : Math.min(left, prefillChunkTokensMax);
      const lookahead = this.config.speculation?.lookaheadTokens ?? 0;
      const needed = Math.ceil((sequence.computedTokens + chunk + lookahead) / blockSize) - sequence.blocks;
      const fenced = Math.max(this.fencedBefore, kv.pool.fenced);
      const text = `request ${sequence.request.id}.${sequence.index} runs, needs ${needed} blocks and is left out`;
      expect(fenced, text).toBeGreaterThan(0);
    }
  }

  /** No sequence is admitted before one that comes first in the order, but for a bounded number of times in its life. */
  private checkAdmission(admitted: Sequence): void {
    const { bypassMax, bypassedMax, order } = this.config;
    if (this.swappedOut.delete(admitted)) return;
    const head = this.rig.engine.scheduler.waiting.peek();
    if (head !== null && ordersAfter(admitted, head))
      expect(bypassMax, 'without bypass the order of admission is the order of the queue').toBeGreaterThan(0);
    expect(this.swappedOut.size, 'the swapped come back before any waiting one').toBe(0);
    for (const [sequence, times] of this.live) {
      // Those behind it in the map came later.
      if (sequence === admitted) break;
      if (sequence.state !== 'waiting') continue;
      if (order === 'priority' && sequence.request.priority > admitted.request.priority) continue;
      expect(times + 1, 'a waiting sequence is overtaken a bounded number of times').toBeLessThanOrEqual(bypassedMax);
      this.live.set(sequence, times + 1);
      this.overtakenMax = Math.max(this.overtakenMax, times + 1);
    }
  }

  private checkPreemption(victim: Sequence, swapped: boolean): void {
    const { config } = this;
    if (swapped) this.swappedOut.add(victim);
    if (this.failures === 0)
      expect(config.capacity, 'who is guaranteed room is never evicted').not.toBe('guaranteed-no-evict');
    if (config.victim !== 'cost' || config.preemptionsMax === 0 || victim.preemptions <= config.preemptionsMax) return;
    for (const other of this.rig.engine.scheduler.running) {
      expect(other.preemptions, 'a pinned sequence is preempted only when all are pinned').toBeGreaterThanOrEqual(
        config.preemptionsMax,
      );
      expect(ordersAfter(victim, other), 'and then the last of them').toBe(true);
    }
  }

  private checkEnd(): void {
    const { rig, config } = this;
    const { kv, scheduler, totals } = rig.engine;
    rig.engine.check(rig.clock.nowNs());
    expect(rig.engine.idle).toBe(true);
    expect({
      running: scheduler.runningCount,
      waiting: scheduler.waiting.size,
      swapped: scheduler.swapped.size,
      held: rig.engine.held,
    }).toEqual({ running: 0, waiting: 0, swapped: 0, held: 0 });
    expect({ used: kv.pool.used, fenced: kv.pool.fenced, available: kv.pool.available }).toEqual({
      used: 0,
      fenced: 0,
      available: config.blocksTotal,
    });
    expect(kv.hostAvailable).toBe(config.hostBlocksTotal);
    const { ends } = this;
    for (const { sequence, ends: reasons, tokens } of rig.heard.values()) {
      expect(reasons, 'each sequence ends once').toHaveLength(1);
      ends[reasons[0]!]++;
      expect(tokens, 'the tokens of a serial run').toEqual(rig.memory!.output(sequence, tokens.length));
      if (reasons[0] === 'length') expect(tokens).toHaveLength(sequence.outputTokensMax);
      if (reasons[0] === 'length' || reasons[0] === 'stop') this.checkBooks(sequence);
    }
    this.injected += rig.heard.size;
    rig.heard.clear();
    expect(totals.injected).toBe(this.injected);
    const { completed, rejected, aborted, timedOut, failed } = totals;
    expect({ completed, rejected, aborted, timedOut, failed }).toEqual({
      completed: ends.stop + ends.length,
      rejected: ends.rejected,
      aborted: ends.abort,
      timedOut: ends.timeout,
      failed: ends.error,
    });
    const { speculation } = scheduler;
    if (speculation !== null) expect(speculation.accepted + speculation.rejected).toBe(speculation.proposed);
  }

  /** No prompt token is lost and none is counted twice. */
  private checkBooks(s: Sequence): void {
    expect(
      s.scheduledPromptTokens,
      `request ${s.request.id}.${s.index}: scheduled = prompt - cached + recomputed`,
    ).toBe(s.promptTokens - s.cachedPromptTokens + s.recomputedPromptTokens);
    if (s.preemptions === 0 && this.failures === 0) expect(s.recomputedPromptTokens + s.recomputedOutputTokens).toBe(0);
    expect(s.waitedNs).toBeGreaterThanOrEqual(0);
    expect(s.admittedNs).not.toBe(NONE);
  }
}
