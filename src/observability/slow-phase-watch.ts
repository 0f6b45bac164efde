import { type Engine, EventFanout, type HostPhase } from '../core/index.ts';

export interface SlowPhase {
  readonly phase: HostPhase;
  readonly ns: number;
  readonly running: number;
  readonly waiting: number;
  /** Others of this phase since the last report, that were not reported. */
  readonly untold: number;
}

const WARN_NS = 1e6;
const PAUSE_NS = 10e9;

/** Tells when a phase of the scheduler's own work takes more than a millisecond: each phase once in ten seconds at most. */
export class SlowPhaseWatch extends EventFanout {
  private readonly nowNs: () => number;
  private readonly tell: (slow: SlowPhase) => void;
  private readonly untold = new Map<HostPhase, number>();
  private readonly toldNs = new Map<HostPhase, number>();
  private engine: Engine | null = null;

  constructor(nowNs: () => number, tell: (slow: SlowPhase) => void) {
    super([]);
    this.nowNs = nowNs;
    this.tell = tell;
  }

  /** Lets it say how large the batch was. */
  attach(engine: Engine): void {
    this.engine = engine;
  }

  override hostPhase(phase: HostPhase, ns: number, count: number): void {
    if (ns <= WARN_NS) return;
    const untold = this.untold.get(phase) ?? 0;
    const nowNs = this.nowNs();
    if (nowNs - (this.toldNs.get(phase) ?? Number.NEGATIVE_INFINITY) < PAUSE_NS) {
      this.untold.set(phase, untold + count);
      return;
    }
    this.toldNs.set(phase, nowNs);
    this.untold.set(phase, 0);
    const { scheduler } = this.engine ?? {};
    this.tell({
      phase,
      ns,
      running: scheduler?.running.length ?? 0,
      waiting: scheduler?.waiting.size ?? 0,
      untold: untold + count - 1,
    });
  }
}
