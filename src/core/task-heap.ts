import type { Task } from './clock.ts';

/** Tasks by (time, priority, order of arming): a binary heap in parallel arrays, so that arming allocates nothing. */
export class TaskHeap {
  private readonly tasks: Task[] = [];
  private readonly times: number[] = [];
  private readonly priorities: number[] = [];
  private readonly orders: number[] = [];

  get size(): number {
    return this.tasks.length;
  }

  /** Time of the first task; Infinity when there is none. */
  get firstNs(): number {
    return this.tasks.length === 0 ? Number.POSITIVE_INFINITY : this.times[0]!;
  }

  /** Whether the first task comes before (timeNs, priority, order). */
  precedes(timeNs: number, priority: number, order: number): boolean {
    return this.tasks.length > 0 && this.before(0, timeNs, priority, order);
  }

  get firstPriority(): number {
    return this.priorities[0]!;
  }

  get firstOrder(): number {
    return this.orders[0]!;
  }

  push(timeNs: number, priority: number, order: number, task: Task): void {
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

  /** Takes the first task out; there is one. */
  pop(): Task {
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
      if (right < length && this.before(right, this.times[child]!, this.priorities[child]!, this.orders[child]!)) {
        child = right;
      }
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
