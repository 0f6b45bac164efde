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
    }
  | { readonly kind: 'steps'; readonly count: number }
  | { readonly kind: 'begin' }
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
  /** Times that the head of the queue was passed over, by head. */
  private readonly passedOver = new Map<Sequence, number>();
  private failures = 0;
  private failing: 'transient' | 'sticky' | null = null;

  constructor(config: Partial<EngineConfig>) {
    this.rig = new EngineRig({
      config: { ...config, checkIntervalNs: 0 },
      proposer: new FormulaDrafts(),
      onAdmitted: (sequence) => this.checkAdmission(sequence),
      onPreempted: (victim) => this.checkPreemption(victim),
    });
    this.config = this.rig.engine.config;
  }

  run(actions: readonly Action[]): void {
    for (const action of actions) this.act(action);
    // Every live sequence needs at most this many steps if it were alone and never disturbed; preemptions repeat work.
    for (let i = 0; this.step(); i++) expect(i, 'the walk comes to an end').toBeLessThan(5000);
    this.checkEnd();
  }

  private act(action: Action): void {
    const { rig } = this;
    switch (action.kind) {
      case 'submit': {
        rig.submitAll({
          prompt: action.prompt,
          outputTokensMax: action.output,
          sampling: { n: action.n },
          priority: action.priority,
          cacheSalt: action.salt,
          ...(action.patienceNs === 0 ? {} : { deadlineNs: rig.clock.nowNs() + action.patienceNs }),
        });
        return;
      }
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

  private checkPlan(plan: StepPlan): void {
    const { scheduler, kv } = this.rig.engine;
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
        expect(node, `request ${sequence.request.id}.${sequence.index}: published block ${i} has content`).not.toBe(
          NONE,
        );
        expect(
          kv.cache.parentOf(node),
          `request ${sequence.request.id}.${sequence.index}: block ${i} hangs on the one before`,
        ).toBe(parent);
        parent = node;
      }
      if (sequence.cacheBlocks > 0) expect(sequence.cacheNode).toBe(parent);
    }
  }

  /** Nobody is admitted before one that comes first in the order, but for a bounded bypass of the head. */
  private checkAdmission(admitted: Sequence): void {
    const { waiting } = this.rig.engine.scheduler;
    const head = waiting.peek();
    this.passedOver.delete(admitted);
    if (head === null || !ordersAfter(admitted, head) || this.isSwapIn(admitted)) return;
    expect(this.config.bypassMax, 'without bypass the order of admission is the order of the queue').toBeGreaterThan(0);
    const times = (this.passedOver.get(head) ?? 0) + 1;
    this.passedOver.set(head, times);
    expect(times, 'a head is passed over a bounded number of times').toBeLessThanOrEqual(this.config.bypassedMax);
  }

  private isSwapIn(admitted: Sequence): boolean {
    return this.config.preemption === 'swap' && admitted.preemptions > 0;
  }

  private checkPreemption(victim: Sequence): void {
    const { config } = this;
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
    const ends = { stop: 0, length: 0, abort: 0, rejected: 0, timeout: 0, error: 0 };
    for (const { sequence, ends: reasons, tokens } of rig.heard.values()) {
      expect(reasons, 'each sequence ends once').toHaveLength(1);
      ends[reasons[0]!]++;
      expect(tokens, 'the tokens of a serial run').toEqual(rig.memory!.output(sequence, tokens.length));
      if (reasons[0] === 'length') expect(tokens).toHaveLength(sequence.outputTokensMax);
      if (reasons[0] === 'length' || reasons[0] === 'stop') this.checkBooks(sequence);
    }
    expect(totals.injected).toBe(rig.heard.size);
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
