import type {
  EngineEvents,
  HostPhase,
  PreemptionReason,
  RejectionReason,
  Request,
  Sequence,
  StepPlan,
  StepResult,
  WaitReason,
} from '../../core/index.ts';

/** A place among an engine's listeners that somebody can take and leave while it runs; empty, it costs a comparison an event. */
export class ListenerSlot implements EngineEvents {
  listener: EngineEvents | null = null;

  received(sequence: Sequence, nowNs: number): void {
    this.listener?.received(sequence, nowNs);
  }

  rejected(request: Request, reason: RejectionReason, nowNs: number): void {
    this.listener?.rejected(request, reason, nowNs);
  }

  admitted(sequence: Sequence, hitTokens: number, blocks: number, resumed: boolean, nowNs: number): void {
    this.listener?.admitted(sequence, hitTokens, blocks, resumed, nowNs);
  }

  preempted(
    sequence: Sequence,
    reason: PreemptionReason,
    swapped: boolean,
    nowNs: number,
    beneficiary: Sequence,
  ): void {
    this.listener?.preempted(sequence, reason, swapped, nowNs, beneficiary);
  }

  evicted(blocks: Int32Array, count: number, nowNs: number): void {
    this.listener?.evicted(blocks, count, nowNs);
  }

  stepPlanned(plan: StepPlan, waiting: number, swapped: number, reason: WaitReason | null, nowNs: number): void {
    this.listener?.stepPlanned(plan, waiting, swapped, reason, nowNs);
  }

  hostPhase(phase: HostPhase, ns: number, count: number): void {
    this.listener?.hostPhase(phase, ns, count);
  }

  stepFinished(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
  ): void {
    this.listener?.stepFinished(plan, result, startNs, endNs, gapRows, leadNs);
  }

  tokenGap(gapNs: number, count: number): void {
    this.listener?.tokenGap(gapNs, count);
  }

  finished(sequence: Sequence, nowNs: number): void {
    this.listener?.finished(sequence, nowNs);
  }
}
