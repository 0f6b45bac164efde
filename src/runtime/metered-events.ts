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
} from '../core/index.ts';
import type { EngineMetrics, GatewayOutcomes } from '../observability/index.ts';

/** Hands events to the metrics of the process that runs now. Calls of fixed targets, since there are some in every step. */
export class MeteredEvents implements EngineEvents {
  engine: EngineMetrics | null = null;
  gateway: GatewayOutcomes | null = null;

  received(sequence: Sequence, nowNs: number): void {
    this.engine!.received(sequence, nowNs);
    this.gateway!.received(sequence);
  }

  rejected(request: Request, reason: RejectionReason, nowNs: number): void {
    this.engine!.rejected(request, reason, nowNs);
    this.gateway!.rejected();
  }

  admitted(sequence: Sequence, hitTokens: number, blocks: number, resumed: boolean, nowNs: number): void {
    this.engine!.admitted(sequence, hitTokens, blocks, resumed, nowNs);
  }

  preempted(sequence: Sequence, reason: PreemptionReason, swapped: boolean, nowNs: number): void {
    this.engine!.preempted(sequence, reason, swapped, nowNs);
  }

  evicted(blocks: Int32Array, count: number, nowNs: number): void {
    this.engine!.evicted(blocks, count, nowNs);
  }

  stepPlanned(plan: StepPlan, waiting: number, swapped: number, reason: WaitReason | null, nowNs: number): void {
    this.engine!.stepPlanned(plan, waiting, swapped, reason, nowNs);
  }

  hostPhase(phase: HostPhase, ns: number, work: number): void {
    this.engine!.hostPhase(phase, ns, work);
  }

  stepFinished(
    plan: StepPlan,
    result: StepResult,
    startNs: number,
    endNs: number,
    gapRows: number,
    leadNs: number,
  ): void {
    this.engine!.stepFinished(plan, result, startNs, endNs, gapRows, leadNs);
  }

  tokenGap(gapNs: number, count: number): void {
    this.engine!.tokenGap(gapNs, count);
  }

  finished(sequence: Sequence, nowNs: number): void {
    this.engine!.finished(sequence, nowNs);
    this.gateway!.finished(sequence, nowNs);
  }
}
