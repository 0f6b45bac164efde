import { assert } from './assert.ts';
import { CapacityGate } from './capacity-gate.ts';
import { keptDrafts, proposeDrafts } from './draft-rows.ts';
import type { EngineConfig } from './engine-config.ts';
import type { EngineEvents, WaitReason } from './events.ts';
import type { HostWork } from './host-work.ts';
import { NONE, type SeqSlot } from './ids.ts';
import type { KvCache } from './kv-cache.ts';
import { OvercommitRatio } from './overcommit.ts';
import { chooseVictim, preemptionReason } from './policies.ts';
import type { Sequence } from './sequence.ts';
import type { DraftProposer } from './speculation.ts';
import { SpeculationController } from './speculation-controller.ts';
import type { StepPlan } from './step-plan.ts';
import { accountHit, accountLoss, addDecodeRow, addRow, isPlainDecode, removeRow } from './step-rows.ts';
import { TenantQueues } from './tenant-queues.ts';
import { passOver, WaitingQueue } from './waiting-queue.ts';

/**
 * Decides what the next step computes: one token budget; running sequences first (decode and continuing prefill chunks
 * alike), then swapped ones, then waiting ones. Owns the queues; all block work goes through the KvCache.
 */
export class Scheduler {
  readonly config: EngineConfig;
  readonly kv: KvCache;
  /** In order of admission: running[0 .. runningCount). */
  readonly running: Sequence[] = [];
  readonly waiting = new TenantQueues();
  readonly swapped = new WaitingQueue();
  readonly overcommit = new OvercommitRatio();
  readonly speculation: SpeculationController | null;
  /** Why the first sequence left waiting was not taken by the last plan; null when none was left. */
  waitReason: WaitReason | null = null;
  preemptionsMemory = 0;
  preemptionsPriority = 0;

  private readonly proposer: DraftProposer | null;
  private readonly events: EngineEvents | null;
  private readonly host: HostWork | null;
  private readonly freeSlots: Int32Array;
  private freeSlotCount: number;
  private readonly lookaheadTokens: number;
  private readonly gate: CapacityGate;
  private readonly bypassScratch: Sequence[];

  // Of the plan being made, or made last.
  private budget = 0;
  private stepsDone = NONE;
  private drafting = false;
  /** Sequences that it preempted. */
  preempted = 0;

  constructor(
    config: EngineConfig,
    kv: KvCache,
    proposer: DraftProposer | null,
    events: EngineEvents | null,
    host: HostWork | null,
  ) {
    this.config = config;
    this.kv = kv;
    this.proposer = proposer;
    this.events = events;
    this.host = host;
    this.speculation =
      config.speculation === null || proposer === null ? null : new SpeculationController(config.speculation);
    this.lookaheadTokens = config.speculation === null ? 0 : config.speculation.lookaheadTokens;
    this.gate = new CapacityGate(config, kv, this.overcommit, this.running);
    this.bypassScratch = new Array<Sequence>(config.bypassMax + 1);
    this.freeSlots = new Int32Array(config.sequencesMax);
    this.freeSlotCount = config.sequencesMax;
    for (let i = 0; i < config.sequencesMax; i++) this.freeSlots[i] = config.sequencesMax - 1 - i;
  }

  get runningCount(): number {
    return this.running.length;
  }

  /** Fills an empty plan. `stepsDone`: the last step that has ended. */
  plan(plan: StepPlan, stepsDone: number): void {
    this.budget = this.config.tokensPerStepMax;
    this.stepsDone = stepsDone;
    this.preempted = 0;
    this.gate.reset();
    this.waitReason = null;
    this.drafting = this.speculation?.decide(plan.stepId, this.running.length) ?? false;
    const host = this.host;
    if (host === null) {
      this.planRunning(plan);
      this.planWaiting(plan);
      return;
    }
    const began = host.start();
    this.planRunning(plan);
    host.phase(plan, 'allocate_running', plan.rows, began);
    const admitting = host.start();
    const before = plan.rows;
    this.planWaiting(plan);
    host.phase(plan, 'admit_waiting', plan.rows - before, admitting);
  }

  private planRunning(plan: StepPlan): void {
    const { running, kv, drafting } = this;
    const { modelLenMax } = this.config;
    const lookahead = this.lookaheadTokens;
    for (let index = 0; index < running.length && this.budget > 0; ) {
      const sequence = running[index]!;
      if (!drafting && isPlainDecode(sequence, lookahead, modelLenMax)) {
        addDecodeRow(plan, kv, sequence);
        this.budget--;
        index++;
        continue;
      }
      const drafts = drafting ? proposeDrafts(plan, sequence, this.proposer!, this.speculation!) : 0;
      const tokens = drafts === NONE ? 0 : this.tokensWanted(sequence, drafts);
      if (tokens <= 0) {
        if (drafts > 0) this.speculation!.discard(drafts);
        index++;
        continue;
      }
      const target = sequence.computedTokens + tokens + lookahead;
      if (target > sequence.capacityTokens) {
        if (!kv.canGrow(sequence, target)) {
          index = this.makeRoom(plan, sequence, target, index);
          const gone = sequence.runningIndex === NONE;
          if (drafts > 0 && (gone || !kv.canGrow(sequence, target))) this.speculation!.discard(drafts);
          if (gone) {
            // Its place is the next one's. vLLM, whose victim is the tail, plans none of those behind it.
            if (this.config.victim === 'tail') break;
            continue;
          }
          if (!kv.canGrow(sequence, target)) {
            // Blocks behind a fence will do: wait for the step in flight, preempt nobody for it.
            if (this.waitReason === null) this.waitReason = 'in-flight';
            index++;
            continue;
          }
        }
        kv.grow(sequence, target, plan);
      }
      const kept = drafts === 0 ? 0 : keptDrafts(sequence, tokens, drafts, this.speculation!);
      addRow(plan, kv, sequence, tokens, kept);
      this.budget -= tokens;
      index++;
    }
  }

  /** Tokens that a running sequence would compute now. */
  private tokensWanted(sequence: Sequence, drafts: number): number {
    const computed = sequence.computedTokens;
    const placeholders = sequence.placeholders;
    // Drafts are in flight: where the next token goes is known when they are verified, whether or not it drafts again.
    if (placeholders > 1) return 0;
    // The token in flight is surely its last one: no further step.
    if (placeholders > 0 && computed + 2 - placeholders >= sequence.promptTokens + sequence.outputTokensMax) return 0;
    let tokens = sequence.knownTokens + placeholders + drafts - computed;
    if (tokens === 1) return computed + 2 > this.config.modelLenMax ? 0 : 1;
    const chunkMax = this.config.prefillChunkTokensMax;
    if (chunkMax > 0 && tokens > chunkMax) tokens = chunkMax;
    if (tokens > this.budget) tokens = this.budget;
    const room = this.config.modelLenMax - 1 - computed;
    return tokens > room ? room : tokens;
  }

  /**
   * Preempts until `sequence` (at `index` of the running list) can hold `target` tokens, or could once fences are lifted.
   * Returns its index afterwards; when it was preempted itself, that of the sequence behind it.
   */
  private makeRoom(plan: StepPlan, sequence: Sequence, target: number, index: number): number {
    const pool = this.kv.pool;
    const missing = this.kv.blocksFor(target) - sequence.blocks;
    while (missing > pool.available + pool.fenced) {
      const at = chooseVictim(this.running, this.running.length, this.config, plan.plannedNs);
      const victim = this.running[at]!;
      if (at < index) {
        this.unplan(plan, victim);
        index--;
      }
      this.preempt(plan, victim, sequence);
      if (victim === sequence) break;
    }
    return index;
  }

  /** Takes a victim's row out of the plan, if it has one there. */
  private unplan(plan: StepPlan, victim: Sequence): void {
    for (let row = 0; row < plan.rows; row++) {
      if (plan.sequences[row] !== victim) continue;
      const drafts = plan.draftTokens[row]!;
      if (drafts > 0) this.speculation!.discard(drafts);
      // With two steps in flight the one before this plan may hold it too.
      this.budget += removeRow(plan, this.kv, row, victim.inFlight > 1 ? plan.stepId - 1 : NONE);
      return;
    }
  }

  /** Stops a running sequence so that others can go on; it waits to be computed again or swapped in. */
  private preempt(plan: StepPlan, victim: Sequence, beneficiary: Sequence): void {
    const reason = preemptionReason(victim, beneficiary, this.config);
    if (reason === 'priority') this.preemptionsPriority++;
    else this.preemptionsMemory++;
    this.preempted++;
    victim.preemptions++;
    this.removeRunning(victim);
    const swap =
      this.config.preemption === 'swap' &&
      victim.inFlight === 0 &&
      victim.computedTokens > 0 &&
      this.kv.canSwapOut(victim);
    if (swap) this.kv.swapOut(victim, plan, this.stepsDone);
    this.requeue(victim, swap, this.stepsDone, plan.plannedNs);
    if (this.events !== null) this.events.preempted(victim, reason, swap, plan.plannedNs, beneficiary);
    if (this.config.capacity === 'overcommit') this.noteOvercommit();
    this.gate.reset();
  }

  private noteOvercommit(): void {
    let decoded = 0;
    let allowed = 0;
    for (const sequence of this.running) {
      decoded += sequence.outputTokens;
      allowed += sequence.outputTokensMax;
    }
    this.overcommit.preempted(decoded, allowed, this.running.length);
  }

  /**
   * Puts a sequence that left the running list back to wait; without `swapped` it is computed from the start.
   * `stepsDone`: the last step that has ended.
   */
  requeue(sequence: Sequence, swapped: boolean, stepsDone: number, nowNs: number): void {
    if (!swapped) {
      accountLoss(sequence, 0);
      this.kv.release(sequence, stepsDone);
      sequence.computedTokens = 0;
    }
    this.freeSlot(sequence);
    sequence.canDraft = false;
    sequence.waitingSinceNs = nowNs;
    sequence.state = swapped ? 'swapped' : 'waiting';
    sequence.triedStep = NONE;
    (swapped ? this.swapped : this.waiting).push(sequence);
  }

  private planWaiting(plan: StepPlan): void {
    if (this.waiting.size === 0 && this.swapped.size === 0) return;
    if (this.preempted > 0) {
      this.waitReason = 'preempted-this-step';
      return;
    }
    while (this.swapped.size > 0) {
      if (!this.slotAndBudget()) return;
      if (!this.trySwapIn(plan, this.swapped.peek()!)) {
        this.waitReason = 'blocks';
        return;
      }
    }
    while (this.waiting.size > 0) {
      if (!this.slotAndBudget()) return;
      const head = this.waiting.peek()!;
      const reason = this.tryAdmit(plan, head);
      if (reason === null) continue;
      this.waitReason = reason;
      if (this.config.bypassMax > 0 && reason !== 'budget') this.bypass(plan, head);
      return;
    }
  }

  private slotAndBudget(): boolean {
    if (this.running.length === this.config.sequencesMax || this.freeSlotCount === 0) this.waitReason = 'sequences';
    else if (this.budget === 0) this.waitReason = 'budget';
    else return true;
    return false;
  }

  /** The head lacks blocks: looks at a bounded number behind it, unless one that they would pass over has waited for enough. */
  private bypass(plan: StepPlan, head: Sequence): void {
    const { bypassMax, bypassedMax } = this.config;
    const found = this.waiting.takeInOrder(bypassMax + 1, this.bypassScratch);
    const reason = this.waitReason;
    let open = head.bypassed < bypassedMax;
    for (let i = 1; i < found && open; i++) {
      if (!this.slotAndBudget()) break;
      const sequence = this.bypassScratch[i]!;
      if (this.tryAdmit(plan, sequence) === null) open = passOver(this.bypassScratch, i, bypassedMax);
      else open = sequence.bypassed < bypassedMax;
    }
    this.waitReason = reason;
  }

  private trySwapIn(plan: StepPlan, sequence: Sequence): boolean {
    let tokens = Math.min(sequence.knownTokens - sequence.computedTokens, this.budget);
    const chunkMax = this.config.prefillChunkTokensMax;
    if (chunkMax > 0 && tokens > chunkMax) tokens = chunkMax;
    const target = sequence.computedTokens + tokens;
    if (!this.kv.canSwapIn(target)) return false;
    this.swapped.remove(sequence);
    this.enter(sequence, plan);
    this.kv.swapIn(sequence, target, plan);
    if (this.events !== null) this.events.admitted(sequence, 0, sequence.blocks, true, plan.plannedNs);
    addRow(plan, this.kv, sequence, tokens, 0);
    this.budget -= tokens;
    return true;
  }

  /** Admits a waiting sequence, or says what it lacks and leaves everything as it is. */
  private tryAdmit(plan: StepPlan, sequence: Sequence): WaitReason | null {
    if (this.stillLacksRoom(plan, sequence)) return 'blocks';
    const kv = this.kv;
    kv.lookup(sequence, this.stepsDone);
    let tokens = this.firstChunk(sequence);
    let reason: WaitReason | null = tokens === 0 ? 'budget' : this.gate.lacksRoom(sequence, kv.hitTokens + tokens);
    if (reason !== null && kv.partialBlock !== NONE) {
      kv.dropPartial();
      tokens = this.firstChunk(sequence);
      reason = tokens === 0 ? 'budget' : this.gate.lacksRoom(sequence, kv.hitTokens + tokens);
    }
    if (reason !== null) {
      if (reason !== 'budget') {
        sequence.triedStep = plan.stepId;
        sequence.triedReleases = kv.releases;
      }
      return reason;
    }
    this.admit(plan, sequence, tokens);
    return null;
  }

  /** Whether nothing has changed for a sequence since it lacked blocks: not worth a look-up. */
  private stillLacksRoom(plan: StepPlan, sequence: Sequence): boolean {
    const retrySteps = this.config.admissionRetrySteps;
    if (retrySteps === 0 || sequence.triedStep === NONE || this.running.length === 0) return false;
    if (plan.stepId - sequence.triedStep >= retrySteps) return false;
    return sequence.triedReleases === this.kv.releases || sequence.blocksWanted > this.gate.freeBlocks();
  }

  /** Tokens of a waiting sequence's first step behind the hits of the last lookup; 0 = they may not be cut and are too many. */
  private firstChunk(sequence: Sequence): number {
    let tokens = sequence.knownTokens - this.kv.hitTokens;
    const chunkMax = this.config.prefillChunkTokensMax;
    if (chunkMax > 0 && tokens > chunkMax) tokens = chunkMax;
    assert(tokens > 0, 'an admitted sequence has something to compute');
    if (tokens <= this.budget) return tokens;
    return this.config.chunkedPrefill ? this.budget : 0;
  }

  private admit(plan: StepPlan, sequence: Sequence, tokens: number): void {
    const head = this.waiting.peek()!;
    const inTurn = head === sequence || head.bypassed < this.config.bypassedMax;
    assert(inTurn, 'a waiting sequence is passed over a bounded number of times');
    this.waiting.remove(sequence);
    this.enter(sequence, plan);
    const kv = this.kv;
    const hit = kv.hitTokens;
    const fresh = kv.admit(sequence, hit + tokens, plan);
    sequence.prefixEnd = kv.hitEnd;
    accountHit(sequence, hit);
    const resumed = sequence.preemptions > 0;
    if (this.events !== null) this.events.admitted(sequence, hit, fresh, resumed, plan.plannedNs);
    addRow(plan, kv, sequence, tokens, 0);
    this.budget -= tokens;
    this.gate.admitted(sequence);
  }

  private enter(sequence: Sequence, plan: StepPlan): void {
    sequence.state = 'running';
    sequence.slot = this.freeSlots[--this.freeSlotCount]! as SeqSlot;
    sequence.runningIndex = this.running.length;
    sequence.admittedStep = plan.stepId;
    if (sequence.admittedNs === NONE) sequence.admittedNs = plan.plannedNs;
    sequence.waitedNs += plan.plannedNs - sequence.waitingSinceNs;
    this.running.push(sequence);
    this.waiting.entered(sequence);
  }

  /** Takes a sequence out of the running list, keeping the order of the others. */
  removeRunning(sequence: Sequence): void {
    const running = this.running;
    const from = sequence.runningIndex;
    assert(running[from] === sequence, 'a running sequence knows its place');
    for (let i = from + 1; i < running.length; i++) {
      const moved = running[i]!;
      running[i - 1] = moved;
      moved.runningIndex = i - 1;
    }
    running.pop();
    sequence.runningIndex = NONE;
    this.waiting.left(sequence);
  }

  /** Gives the slot of a sequence that has left the running list back. Idempotent. */
  freeSlot(sequence: Sequence): void {
    if (sequence.slot === NONE) return;
    this.freeSlots[this.freeSlotCount++] = sequence.slot;
    sequence.slot = NONE;
  }
}
