import { TaskHeap } from './task-heap.ts';

/** Something that wants to run at a time. Kept as an object, so that arming a wake-up allocates no closure. */
export interface Task {
  run(timeNs: number): void;
}

/**
 * Times are integer nanoseconds since the run began, as plain numbers: exact for 104 days (2^53 ns).
 * Tasks of one time run by priority (smaller first), then in the order in which they were armed.
 */
export interface Clock {
  nowNs(): number;
  /** Arms `task` for `timeNs` (not before now). Never runs it before this call has returned. */
  at(timeNs: number, priority: number, task: Task): void;
  /**
   * Time of the next armed task, or Infinity. A run of steps ends with the step during which it falls: then the engine is
   * asked what to do next.
   */
  nextNs(): number;
  /**
   * Time of the next armed task that may touch sequences in the batch (a deadline, an abort) or reads the engine (a sample),
   * or Infinity. A run ends before the step during which it falls, so that all earlier tokens are delivered by then.
   */
  nextCutNs(): number;
}

/** A clock whose tasks run only while its owner's loop calls `runDue` or `runNow`: in virtual time or beside a wall clock. */
export interface DrivenClock extends Clock {
  /** Runs the tasks of the next moment that is due; false when none is. */
  runDue(): boolean;
  /** Runs `task` now, before anything that is due later. */
  runNow(task: Task): void;
  /** Wall nanoseconds until the next task is due: 0 when it is, Infinity when none is armed. */
  untilNextNs(): number;
  /** The time of an event that happens now, outside of every task, ns. */
  presentNs(): number;
  /** A duration of the wall clock in this clock's time, ns. */
  durationNs(wallNs: number): number;
}

/**
 * Order of tasks that fall on the same nanosecond: what arrives is seen by the step that is planned then. Aborts are
 * deadlines. All but arrivals, step ends and the engine's own wake-up cut runs of steps.
 */
export const PRIORITY = { fault: 0, arrival: 1, deadline: 2, stepDone: 3, engine: 4, sample: 5 } as const;

function cutsRuns(priority: number): boolean {
  return priority !== PRIORITY.arrival && priority !== PRIORITY.stepDone && priority !== PRIORITY.engine;
}

/**
 * A clock that jumps from task to task. One task is held outside the heap, since a lone engine has only two wake-ups
 * (its step's end and the next arrival), and a heap of one costs nothing.
 */
export class VirtualClock implements DrivenClock {
  private time = 0;
  private order = 0;
  private slotTask: Task | null = null;
  private slotTimeNs = Number.POSITIVE_INFINITY;
  private slotPriority = 0;
  private slotOrder = 0;
  private readonly tasks = new TaskHeap();
  /** Tasks that cut runs of steps. */
  private readonly cuts = new TaskHeap();
  private stopped = false;

  nowNs(): number {
    return this.time;
  }

  at(timeNs: number, priority: number, task: Task): void {
    if (!(timeNs >= this.time)) throw new RangeError(`task armed for ${timeNs} ns, before now (${this.time} ns)`);
    const order = this.order++;
    if (cutsRuns(priority)) {
      this.cuts.push(timeNs, priority, order, task);
    } else if (this.slotTask === null) {
      this.slotTask = task;
      this.slotTimeNs = timeNs;
      this.slotPriority = priority;
      this.slotOrder = order;
    } else {
      this.tasks.push(timeNs, priority, order, task);
    }
  }

  nextNs(): number {
    return Math.min(this.slotTimeNs, this.tasks.firstNs, this.cuts.firstNs);
  }

  nextCutNs(): number {
    return this.cuts.firstNs;
  }

  /** Number of armed tasks. */
  get armed(): number {
    return this.tasks.size + this.cuts.size + (this.slotTask === null ? 0 : 1);
  }

  /** Makes `run` return after the task in progress. */
  stop(): void {
    this.stopped = true;
  }

  /** Runs tasks in order until none is left, `stop` is called, or the next one lies after `untilNs`. */
  run(untilNs = Number.POSITIVE_INFINITY): void {
    this.stopped = false;
    while (!this.stopped) {
      const timeNs = this.nextNs();
      if (timeNs > untilNs || timeNs === Number.POSITIVE_INFINITY) return;
      const task = this.take();
      this.time = timeNs;
      task.run(timeNs);
    }
  }

  runDue(): boolean {
    const nextNs = this.nextNs();
    if (nextNs === Number.POSITIVE_INFINITY) return false;
    this.run(nextNs);
    return true;
  }

  runNow(task: Task): void {
    this.at(this.time, PRIORITY.arrival, task);
    this.run(this.time);
  }

  untilNextNs(): number {
    return this.armed === 0 ? Number.POSITIVE_INFINITY : 0;
  }

  presentNs(): number {
    return this.time;
  }

  durationNs(wallNs: number): number {
    return wallNs;
  }

  /** Takes the first task of slot and heaps; there is one. */
  private take(): Task {
    const { tasks, cuts } = this;
    const heap = cuts.size > 0 && this.cutsFirst() ? cuts : tasks;
    const task = this.slotTask;
    if (task === null || heap.precedes(this.slotTimeNs, this.slotPriority, this.slotOrder)) return heap.pop();
    this.slotTask = null;
    this.slotTimeNs = Number.POSITIVE_INFINITY;
    return task;
  }

  private cutsFirst(): boolean {
    const { tasks, cuts } = this;
    return tasks.size === 0 || cuts.precedes(tasks.firstNs, tasks.firstPriority, tasks.firstOrder);
  }
}
