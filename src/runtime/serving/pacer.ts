import { build, type Histogram } from 'hdr-histogram-js';
import { PRIORITY, type Task, type VirtualClock } from '../../core/index.ts';

/** Behind the wall by more than this, the engine's time is set anew instead of running after it: a laptop slept. */
const RESYNC_NS = 1e9;

/**
 * Keeps a virtual clock beside the wall's: engine time = wall time since the start / timeScale. Tasks run when their time has
 * come and see their own time, not the wall's, so that lateness never adds up. With a scale of 0 the clock does not wait.
 */
export class Pacer {
  private readonly clock: VirtualClock;
  private readonly scale: number;
  private readonly wallNs: () => number;
  /** Wall time at engine time 0. */
  private originNs: number;
  private readonly errors: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60e9,
    numberOfSignificantValueDigits: 2,
  });
  /** Absolute error of the last task's time on the wall clock, ns. */
  lastErrorNs = 0;

  constructor(clock: VirtualClock, scale: number, wallNs: () => number) {
    this.clock = clock;
    this.scale = scale;
    this.wallNs = wallNs;
    this.originNs = wallNs();
  }

  /** Wall nanoseconds as engine time. */
  engineNs(wallDurationNs: number): number {
    return this.scale === 0 ? wallDurationNs : Math.round(wallDurationNs / this.scale);
  }

  /** Engine time that the wall clock gives. */
  nowNs(): number {
    return Math.max(this.clock.nowNs(), this.targetNs());
  }

  /** Runs `task` now, at the engine time that the wall clock gives, before what is due later. */
  runNow(task: Task): void {
    const nowNs = this.nowNs();
    const timeNs =
      this.scale === 0 ? this.clock.nowNs() : Math.min(nowNs, Math.max(this.clock.nowNs(), this.clock.nextNs()));
    this.clock.at(timeNs, PRIORITY.arrival, task);
    this.clock.run(timeNs);
  }

  /** Runs the tasks of the next moment that is due; false when none is. */
  runDue(): boolean {
    const next = this.clock.nextNs();
    if (next === Number.POSITIVE_INFINITY) return false;
    if (this.scale > 0) {
      const lateNs = this.wallNs() - this.originNs - next * this.scale;
      if (lateNs < 0) return false;
      this.note(lateNs);
    }
    this.clock.run(next);
    return true;
  }

  /** Wall nanoseconds until the next task is due: 0 when it is, Infinity when there is none. */
  untilNextNs(): number {
    const next = this.clock.nextNs();
    if (next === Number.POSITIVE_INFINITY) return next;
    if (this.scale === 0) return 0;
    return Math.max(0, this.originNs + next * this.scale - this.wallNs());
  }

  get errorP99Ns(): number {
    return this.errors.totalCount === 0 ? 0 : this.errors.getValueAtPercentile(99);
  }

  private targetNs(): number {
    return this.scale === 0 ? this.clock.nowNs() : Math.floor((this.wallNs() - this.originNs) / this.scale);
  }

  private note(lateNs: number): void {
    this.lastErrorNs = lateNs;
    this.errors.recordValue(Math.min(lateNs, 60e9));
    if (lateNs > RESYNC_NS) this.originNs += lateNs;
  }
}
