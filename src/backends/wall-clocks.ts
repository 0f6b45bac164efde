import { PRIORITY, type Task, VirtualClock } from '../core/index.ts';

/** A monotonic clock of the machine, and what is done with the lateness of tasks. */
export interface WallTime {
  readonly kind: 'wall';
  /** Monotonic, ns. */
  readonly nowNs: () => number;
  /** Wall seconds per engine second, for a simulated device: 1 = real time, 0 = as fast as the loop turns. */
  readonly scale: number;
  /** Called with how late the tasks of a moment ran, wall ns. */
  readonly late: (lateNs: number) => void;
}

/** Behind the wall by more than this, the engine's time is set anew instead of running after it: a laptop slept. */
const RESYNC_NS = 1e9;

/**
 * The time of a simulated device that is kept beside the wall's: engine time = wall time since the start / scale. Tasks run when their
 * time has come and see their own time, not the wall's, so that lateness never adds up. `scale` is above 0.
 */
export class PacedClock extends VirtualClock {
  private readonly wall: WallTime;
  /** Wall time at engine time 0. */
  private originNs: number;

  constructor(wall: WallTime) {
    super();
    this.wall = wall;
    this.originNs = wall.nowNs();
  }

  override runDue(): boolean {
    const nextNs = this.nextNs();
    if (nextNs === Number.POSITIVE_INFINITY) return false;
    const lateNs = this.wall.nowNs() - this.originNs - nextNs * this.wall.scale;
    if (lateNs < 0) return false;
    this.wall.late(lateNs);
    if (lateNs > RESYNC_NS) this.originNs += lateNs;
    this.run(nextNs);
    return true;
  }

  /** At the time that the wall gives, but not after what is due already. */
  override runNow(task: Task): void {
    const timeNs = Math.min(this.presentNs(), Math.max(this.nowNs(), this.nextNs()));
    this.at(timeNs, PRIORITY.arrival, task);
    this.run(timeNs);
  }

  override untilNextNs(): number {
    const nextNs = this.nextNs();
    if (nextNs === Number.POSITIVE_INFINITY) return nextNs;
    return Math.max(0, this.originNs + nextNs * this.wall.scale - this.wall.nowNs());
  }

  override presentNs(): number {
    return Math.max(this.nowNs(), Math.floor((this.wall.nowNs() - this.originNs) / this.wall.scale));
  }

  override durationNs(wallNs: number): number {
    return Math.round(wallNs / this.wall.scale);
  }
}

/** The machine's own time, for real devices: steps end when the device says so, and everything is stamped with the wall's time. */
export class SystemClock extends VirtualClock {
  private readonly wall: WallTime;
  private readonly originNs: number;

  constructor(wall: WallTime) {
    super();
    this.wall = wall;
    this.originNs = wall.nowNs();
  }

  override nowNs(): number {
    return Math.floor(this.wall.nowNs() - this.originNs);
  }

  override runDue(): boolean {
    const nextNs = this.nextNs();
    const lateNs = this.nowNs() - nextNs;
    if (lateNs < 0) return false;
    this.wall.late(lateNs);
    this.run(nextNs);
    return true;
  }

  /** At the wall's time, or with what is due and has not run yet. */
  override runNow(task: Task): void {
    const timeNs = Math.max(super.nowNs(), Math.min(this.nowNs(), this.nextNs()));
    this.at(timeNs, PRIORITY.arrival, task);
    this.run(timeNs);
  }

  override untilNextNs(): number {
    return Math.max(0, this.nextNs() - this.nowNs());
  }

  override presentNs(): number {
    return this.nowNs();
  }
}
