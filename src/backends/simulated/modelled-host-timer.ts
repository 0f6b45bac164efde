import type { HostPhase, HostTimer } from '../../core/index.ts';

/** Cost of one phase: fixed, and per sequence or block handled. Nanoseconds. */
export interface HostPhaseCost {
  readonly fixedNs: number;
  readonly perWorkNs: number;
}

export type HostCosts = Readonly<Record<HostPhase, HostPhaseCost>>;

/**
 * Twinfer's own scheduler on a current server core: 2 to 8 us a step at 256 sequences, 9 to 31 ns a sequence, as measured on a prototype of
 * its typed decode loop. What vLLM's Python scheduler takes is part of the timing model's cost per step, not of this.
 */
export const TWINFER_HOST_COSTS: HostCosts = {
  collect_finished: { fixedNs: 300, perWorkNs: 4 },
  allocate_running: { fixedNs: 500, perWorkNs: 8 },
  admit_waiting: { fixedNs: 500, perWorkNs: 250 },
  build_batch: { fixedNs: 400, perWorkNs: 6 },
};

/** Host work that takes a modelled time, so that scheduler latencies and stalls exist in a simulated day. Whole nanoseconds. */
export class ModelledHostTimer implements HostTimer {
  /** Multiplies every phase: a fault sets it (a noisy neighbour, a paused process) and puts it back to 1. */
  factor = 1;
  private readonly costs: HostCosts;

  constructor(costs: HostCosts = TWINFER_HOST_COSTS) {
    this.costs = costs;
  }

  /** Always 0: modelled work takes no time of the clock, its length comes from `elapsedNs` alone. */
  startNs(): number {
    return 0;
  }

  elapsedNs(phase: HostPhase, work: number, _startNs: number): number {
    const cost = this.costs[phase];
    return Math.round((cost.fixedNs + cost.perWorkNs * work) * this.factor);
  }
}
