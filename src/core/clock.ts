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
  /** Time of the next armed task, or Infinity: how far a run of steps may go before anybody has to be asked. */
  nextNs(): number;
}

/** Order of tasks that fall on the same nanosecond: what arrives is seen by the step that is planned then. */
export const PRIORITY = { fault: 0, arrival: 1, deadline: 2, stepDone: 3, engine: 4, sample: 5 } as const;

/**
 * A clock that jumps from task to task. One task is held outside the heap, since a lone engine has only two wake-ups
 * (its step's end and the next arrival), and a heap of one costs nothing.
 */
export class VirtualClock implements Clock {
  private time = 0;
  private order = 0;
  private slotTask: Task | null = null;
  private slotTimeNs = Number.POSITIVE_INFINITY;
  private slotPriority = 0;
  private slotOrder = 0;
  private readonly tasks: Task[] = [];
  private readonly times: number[] = [];
  private readonly priorities: number[] = [];
  private readonly orders: number[] = [];
  private stopped = false;

  nowNs(): number {
    return this.time;
  }

  at(timeNs: number, priority: number, task: Task): void {
    if (!(timeNs >= this.time)) throw new RangeError(`task armed for ${timeNs} ns, before now (${this.time} ns)`);
    const order = this.order++;
    if (this.slotTask === null) {
      this.slotTask = task;
      this.slotTimeNs = timeNs;
      this.slotPriority = priority;
      this.slotOrder = order;
    } else {
      this.push(timeNs, priority, order, task);
    }
  }

  nextNs(): number {
    const heap = this.tasks.length === 0 ? Number.POSITIVE_INFINITY : this.times[0]!;
    return this.slotTimeNs < heap ? this.slotTimeNs : heap;
  }

  /** Number of armed tasks. */
  get armed(): number {
    return this.tasks.length + (this.slotTask === null ? 0 : 1);
  }

  /** Makes `run` return after the task in progress. */
  stop(): void {
    this.stopped = true;
  }

  /** Runs tasks in order until none is left, `stop` is called, or the next one lies after `untilNs`. */
  run(untilNs = Number.POSITIVE_INFINITY): void {
    this.stopped = false;
    while (!this.stopped) {
      const useSlot = this.slotTask !== null && (this.tasks.length === 0 || this.slotBeforeTop());
      if (!useSlot && this.tasks.length === 0) return;
      const timeNs = useSlot ? this.slotTimeNs : this.times[0]!;
      if (timeNs > untilNs) return;
      let task: Task;
      if (useSlot) {
        task = this.slotTask!;
        this.slotTask = null;
        this.slotTimeNs = Number.POSITIVE_INFINITY;
      } else {
        task = this.pop();
      }
      this.time = timeNs;
      task.run(timeNs);
    }
  }

  private slotBeforeTop(): boolean {
    const byTime = this.slotTimeNs - this.times[0]!;
    if (byTime !== 0) return byTime < 0;
    const byPriority = this.slotPriority - this.priorities[0]!;
    if (byPriority !== 0) return byPriority < 0;
    return this.slotOrder < this.orders[0]!;
  }

  private push(timeNs: number, priority: number, order: number, task: Task): void {
    let child = this.tasks.length;
    this.tasks.push(task);
    this.times.push(timeNs);
    this.priorities.push(priority);
    this.orders.push(order);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (this.before(parent, timeNs, priority, order)) break;
      this.move(parent, child);
      child = parent;
    }
    this.set(child, timeNs, priority, order, task);
  }

  private pop(): Task {
    const top = this.tasks[0]!;
    const task = this.tasks.pop()!;
    const timeNs = this.times.pop()!;
    const priority = this.priorities.pop()!;
    const order = this.orders.pop()!;
    const length = this.tasks.length;
    if (length === 0) return top;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= length) break;
      const right = child + 1;
      if (right < length && this.before(right, this.times[child]!, this.priorities[child]!, this.orders[child]!))
        child = right;
      if (!this.before(child, timeNs, priority, order)) break;
      this.move(child, parent);
      parent = child;
    }
    this.set(parent, timeNs, priority, order, task);
    return top;
  }

  private before(index: number, timeNs: number, priority: number, order: number): boolean {
    const byTime = this.times[index]! - timeNs;
    if (byTime !== 0) return byTime < 0;
    const byPriority = this.priorities[index]! - priority;
    if (byPriority !== 0) return byPriority < 0;
    return this.orders[index]! < order;
  }

  private move(from: number, to: number): void {
    this.set(to, this.times[from]!, this.priorities[from]!, this.orders[from]!, this.tasks[from]!);
  }

  private set(index: number, timeNs: number, priority: number, order: number, task: Task): void {
    this.times[index] = timeNs;
    this.priorities[index] = priority;
    this.orders[index] = order;
    this.tasks[index] = task;
  }
}
