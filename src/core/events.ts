import type { RejectionReason } from './errors.ts';
import type { HostPhase } from './host-timer.ts';
import type { Request } from './request.ts';
import type { Sequence } from './sequence.ts';
import type { StepPlan, StepResult } from './step-plan.ts';

export const PREEMPTION_REASONS = ['memory_pressure', 'priority'] as const;
export type PreemptionReason = (typeof PREEMPTION_REASONS)[number];

/** Why a sequence at the head of a queue was not taken into the step just planned. */
export const WAIT_REASONS = [
  'budget',
  'blocks',
  'sequences',
  'preempted-this-step',
  'watermark',
  'overcommit',
  'in-flight',
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

/**
 * What metrics, spans, decision log and recorders hang on. Arguments are numbers and long-lived objects; methods are called
 * per step or per request, never per token. Objects belong to the engine: read them during the call, do not keep plans.
 */
export interface EngineEvents {
  /** A request was taken in; its sequences (n of them) wait. */
  received(sequence: Sequence, nowNs: number): void;
  /** A request was refused; its sequences end as `rejected` right after. */
  rejected(request: Request, reason: RejectionReason, nowNs: number): void;
  /** Taken into the running batch, for the first time or again after a preemption; `hitTokens` came from the prefix cache or a fork. */
  admitted(sequence: Sequence, hitTokens: number, blocksAllocated: number, resumed: boolean, nowNs: number): void;
  /** `beneficiary`: the sequence that needs its blocks; itself when it made room for those before it. */
  preempted(sequence: Sequence, reason: PreemptionReason, swapped: boolean, nowNs: number, beneficiary: Sequence): void;
  /** Cached blocks lost their content, in order: blocks[0 .. count). */
  evicted(blocks: Int32Array, count: number, nowNs: number): void;
  /** The plan is complete and about to be submitted. `waitReason` is that of the first sequence left waiting. */
  stepPlanned(plan: StepPlan, waiting: number, swapped: number, waitReason: WaitReason | null, nowNs: number): void;
  /**
   * A phase of the host's own work took `ns`, `count` times: once when it was measured, more often when a run of steps is
   * applied and stands for the later ones.
   */
  hostPhase(phase: HostPhase, ns: number, count: number): void;
  /**
   * A submission has ended and its tokens are applied; finished sequences have been reported. `gapRows` rows of each of its
   * steps delivered a token one step after their last one, so that their inter-token gap is the step's own duration plus
   * `leadNs` for the first step of the run (time between the end of the last step and the start of this one).
   */
  stepFinished(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
  ): void;
  /** Gaps between tokens that `stepFinished` does not cover (preempted, swapped, speculation): `count` tokens, each `gapNs` after the one before. */
  tokenGap(gapNs: number, count: number): void;
  finished(sequence: Sequence, nowNs: number): void;
}

/** Hands every event to several listeners, in order. Built once at start-up. */
export class EventFanout implements EngineEvents {
  private readonly listeners: readonly EngineEvents[];

  constructor(listeners: readonly EngineEvents[]) {
    this.listeners = listeners;
  }

  received(sequence: Sequence, nowNs: number): void {
    for (const l of this.listeners) l.received(sequence, nowNs);
  }

  rejected(request: Request, reason: RejectionReason, nowNs: number): void {
    for (const l of this.listeners) l.rejected(request, reason, nowNs);
  }

  admitted(sequence: Sequence, hitTokens: number, blocksAllocated: number, resumed: boolean, nowNs: number): void {
    for (const l of this.listeners) l.admitted(sequence, hitTokens, blocksAllocated, resumed, nowNs);
  }

  preempted(
    sequence: Sequence,
    reason: PreemptionReason,
    swapped: boolean,
    nowNs: number,
    beneficiary: Sequence,
  ): void {
    for (const l of this.listeners) l.preempted(sequence, reason, swapped, nowNs, beneficiary);
  }

  evicted(blocks: Int32Array, count: number, nowNs: number): void {
    for (const l of this.listeners) l.evicted(blocks, count, nowNs);
  }

  stepPlanned(plan: StepPlan, waiting: number, swapped: number, waitReason: WaitReason | null, nowNs: number): void {
    for (const l of this.listeners) l.stepPlanned(plan, waiting, swapped, waitReason, nowNs);
  }

  hostPhase(phase: HostPhase, ns: number, count: number): void {
    for (const l of this.listeners) l.hostPhase(phase, ns, count);
  }

  stepFinished(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
  ): void {
    for (const l of this.listeners) l.stepFinished(plan, result, startNs, endNs, gapRows, leadNs);
  }

  tokenGap(gapNs: number, count: number): void {
    for (const l of this.listeners) l.tokenGap(gapNs, count);
  }

  finished(sequence: Sequence, nowNs: number): void {
    for (const l of this.listeners) l.finished(sequence, nowNs);
  }
}
