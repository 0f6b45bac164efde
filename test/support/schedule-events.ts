import {
  type Engine,
  type EngineEvents,
  InvariantError,
  NONE,
  type PreemptionReason,
  type RejectionReason,
  type Request,
  type Sequence,
  type StepPlan,
  type StepResult,
  type WaitReason,
} from '../../src/core/index.ts';
import type { CoverageCounts } from './coverage-counts.ts';

/** Writes every event down as a line, and counts what was exercised. */
export class ScheduleEvents implements EngineEvents {
  readonly lines: string[] = [];
  private engine: Engine | null = null;
  private readonly counts: CoverageCounts;

  constructor(counts: CoverageCounts) {
    this.counts = counts;
  }

  /** Looks into the engine from now on. */
  watch(engine: Engine): void {
    this.engine = engine;
    const { kv } = engine;
    const unplanned = kv.unplanned.bind(kv);
    kv.unplanned = (sequence) => {
      this.counts.rowsTakenOut++;
      unplanned(sequence);
    };
  }

  abortAsked(request: number): void {
    const leader = this.engine!.requests.get(request);
    if (leader === undefined) return;
    this.counts.aborts++;
    if ([leader, ...(leader.siblings ?? [])].some((s) => s.inFlight > 0)) this.counts.abortsInFlight++;
  }

  stopStringFound(): void {
    this.counts.stopStrings++;
  }

  received(sequence: Sequence, nowNs: number): void {
    this.counts.sequences++;
    this.lines.push(`${nowNs} received ${name(sequence)}`);
  }

  rejected(request: Request, reason: RejectionReason, nowNs: number): void {
    this.lines.push(`${nowNs} rejected ${request.id} ${reason}`);
  }

  admitted(sequence: Sequence, hitTokens: number, blocks: number, resumed: boolean, nowNs: number): void {
    const { counts } = this;
    const { kv, stepsDone } = this.engine!;
    this.lines.push(`${nowNs} admitted ${name(sequence)} hit ${hitTokens} blocks ${blocks} resumed ${resumed}`);
    if (hitTokens === 0) return;
    counts.prefixHits++;
    if (kv.partialTokens > 0) counts.partialHits++;
    // The leader's own blocks are shared although the last of them may not be in the index.
    if (sequence.leader !== null && sequence.leader.runningIndex !== NONE) counts.forks++;
    for (let i = 0; i < kv.hitCount; i++) {
      const block = kv.hitBlocks[i]!;
      if (kv.cache.has(block) && kv.cache.readyStep(block) > stepsDone) {
        counts.pendingHits++;
        return;
      }
    }
  }

  preempted(sequence: Sequence, reason: PreemptionReason, swapped: boolean, nowNs: number): void {
    this.counts.preemptions++;
    if (sequence.inFlight > 0) this.counts.preemptionsInFlight++;
    if (swapped) this.counts.swapsOut++;
    this.lines.push(`${nowNs} preempted ${name(sequence)} ${reason} swapped ${swapped}`);
  }

  evicted(blocks: Int32Array, count: number, nowNs: number): void {
    this.counts.evictions += count;
    this.lines.push(`${nowNs} evicted ${blocks.subarray(0, count).join(' ')}`);
  }

  stepPlanned(plan: StepPlan, waiting: number, swapped: number, waitReason: WaitReason | null, nowNs: number): void {
    const { counts } = this;
    if (plan.swapInCount > 0) counts.swapsIn++;
    if (this.engine!.kv.pool.fenced > 0) counts.stepsWithFences++;
    if (plan.tokenIds.subarray(0, plan.tokens).includes(NONE)) counts.stepsWithTokensInFlight++;
    const rows: string[] = [];
    for (let row = 0; row < plan.rows; row++) {
      const { promptTokens } = plan.sequences[row]!;
      if (plan.samples[row] === 0 && plan.contextTokens[row]! < promptTokens) counts.chunkedPrefillRows++;
      rows.push(
        `${name(plan.sequences[row]!)}@${plan.slots[row]}:${plan.contextTokens[row]}+${plan.newTokens[row]}-${plan.draftTokens[row]}`,
      );
    }
    const copies = plan.copies.subarray(0, 2 * plan.copyCount).join(' ');
    const fresh = plan.newBlocks.subarray(0, 2 * plan.newBlockCount).join(' ');
    this.lines.push(
      `${nowNs} planned ${plan.stepId} [${rows.join(' ')}] ids ${plan.tokenIds.subarray(0, plan.tokens).join(' ')} new ${fresh} ` +
        `copies ${copies} waiting ${waiting} swapped ${swapped} ${waitReason}`,
    );
  }

  hostPhase(): void {}

  stepFinished(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
  ): void {
    if (result.status !== 'ok' && this.engine!.inFlight.length > 0) this.counts.failedStepsWithOneBehind++;
    this.checkChainTips();
    this.lines.push(
      `${endNs} finished step ${plan.stepId} ${result.status} from ${startNs} gaps ${gapRows} lead ${leadNs}`,
    );
  }

  /** Who runs stands on the node of its last published block: on a dead one, what it publishes next would hang in the air. */
  private checkChainTips(): void {
    const { kv, scheduler } = this.engine!;
    for (const sequence of scheduler.running) {
      if (sequence.cacheBlocks === 0) continue;
      const block = kv.tables[sequence.slot * kv.tableStride + sequence.cacheBlocks - 1]!;
      if (kv.cache.has(block) && kv.cache.nodeOf(block) === sequence.cacheNode) continue;
      throw new InvariantError('a running sequence stands on a live chain', `${name(sequence)}, block ${block}`);
    }
  }

  tokenGap(gapNs: number, count: number): void {
    this.lines.push(`gap ${gapNs} x ${count}`);
  }

  finished(sequence: Sequence, nowNs: number): void {
    const { counts } = this;
    switch (sequence.finishReason) {
      case 'stop':
        counts.completedByStop++;
        break;
      case 'length':
        counts.completedByLength++;
        break;
      case 'rejected':
        counts.rejected++;
        break;
      case 'timeout':
        counts.deadlines++;
        break;
      case 'error':
        counts.errors++;
        break;
    }
    this.lines.push(`${nowNs} ended ${name(sequence)} ${sequence.finishReason} ${sequence.outputTokens}`);
  }
}

function name(sequence: Sequence): string {
  return `${sequence.request.id}.${sequence.index}`;
}
