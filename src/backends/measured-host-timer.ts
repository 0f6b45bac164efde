import type { HostPhase, HostTimer } from '../core/index.ts';

/**
 * How long the scheduler's own work really takes, by a monotonic clock. On the simulated device this time is also added to
 * the step's, as on a real one: the wall clock passes while the host plans.
 */
export class MeasuredHostTimer implements HostTimer {
  /** For trials: phases take this many times as long, by waiting; 1 = as long as they take. */
  factor = 1;
  private readonly nowNs: () => number;

  constructor(nowNs: () => number) {
    this.nowNs = nowNs;
  }

  startNs(): number {
    return this.nowNs();
  }

  elapsedNs(_phase: HostPhase, _work: number, startNs: number): number {
    let ns = this.nowNs() - startNs;
    if (this.factor > 1) {
      const untilNs = startNs + ns * this.factor;
      while (this.nowNs() < untilNs);
      ns = this.nowNs() - startNs;
    }
    return ns;
  }
}
