import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { Request } from '../../src/core/request.ts';
import { Sequence } from '../../src/core/sequence.ts';
import { NO_SINK } from '../../src/core/token-sink.ts';
import { ArrayTokens } from '../../src/core/token-source.ts';
import { WaitingQueue, waitingOrderKey } from '../../src/core/waiting-queue.ts';

const PROMPT = new ArrayTokens(Int32Array.from([1]));

function sequenceWith(arrivalOrder: number, orderKey: number): Sequence {
  const sequence = new Sequence(
    new Request(arrivalOrder, 0, { prompt: PROMPT, outputTokensMax: 1 }),
    0,
    NO_SINK,
    arrivalOrder,
    null,
    16,
  );
  sequence.orderKey = orderKey;
  return sequence;
}

function request(arrivalNs: number, priority: number): Request {
  return new Request(0, arrivalNs, { prompt: PROMPT, outputTokensMax: 1, priority });
}

/** The specification: an array that is sorted after every change. */
class SortedArray {
  readonly entries: Sequence[] = [];

  push(sequence: Sequence): void {
    this.entries.push(sequence);
    this.entries.sort((a, b) => a.orderKey - b.orderKey || a.arrivalOrder - b.arrivalOrder);
  }

  remove(sequence: Sequence): void {
    this.entries.splice(this.entries.indexOf(sequence), 1);
  }
}

interface Model {
  readonly sorted: SortedArray;
  readonly gone: Sequence[];
  arrivals: number;
}

type QueueCommand = fc.Command<Model, WaitingQueue>;

class Push implements QueueCommand {
  readonly key: number;
  constructor(key: number) {
    this.key = key;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, queue: WaitingQueue): void {
    const sequence = sequenceWith(model.arrivals++, this.key);
    model.sorted.push(sequence);
    queue.push(sequence);
    agree(model, queue);
  }
  toString(): string {
    return `push(key ${this.key})`;
  }
}

/** A preempted sequence comes back with the arrival order that it had. */
class PushAgain implements QueueCommand {
  readonly which: number;
  constructor(which: number) {
    this.which = which;
  }
  check(model: Readonly<Model>): boolean {
    return model.gone.length > 0;
  }
  run(model: Model, queue: WaitingQueue): void {
    const sequence = model.gone.splice(this.which % model.gone.length, 1)[0]!;
    model.sorted.push(sequence);
    queue.push(sequence);
    agree(model, queue);
  }
  toString(): string {
    return `pushAgain(${this.which})`;
  }
}

class Pop implements QueueCommand {
  check(): boolean {
    return true;
  }
  run(model: Model, queue: WaitingQueue): void {
    const expected = model.sorted.entries.shift() ?? null;
    expect(queue.pop()).toBe(expected);
    if (expected !== null) {
      expect(queue.has(expected)).toBe(false);
      model.gone.push(expected);
    }
    agree(model, queue);
  }
  toString(): string {
    return 'pop()';
  }
}

class Remove implements QueueCommand {
  readonly which: number;
  constructor(which: number) {
    this.which = which;
  }
  check(model: Readonly<Model>): boolean {
    return model.sorted.entries.length > 0;
  }
  run(model: Model, queue: WaitingQueue): void {
    const sequence = model.sorted.entries[this.which % model.sorted.entries.length]!;
    model.sorted.remove(sequence);
    queue.remove(sequence);
    expect(queue.has(sequence)).toBe(false);
    model.gone.push(sequence);
    agree(model, queue);
  }
  toString(): string {
    return `remove(${this.which})`;
  }
}

class Take implements QueueCommand {
  readonly count: number;
  constructor(count: number) {
    this.count = count;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, queue: WaitingQueue): void {
    const into: Sequence[] = [];
    const taken = queue.takeInOrder(this.count, into);
    expect(taken).toBe(Math.min(this.count, model.sorted.entries.length));
    expect(into.map(numberOf)).toEqual(model.sorted.entries.slice(0, this.count).map(numberOf));
    agree(model, queue);
  }
  toString(): string {
    return `takeInOrder(${this.count})`;
  }
}

class Clear implements QueueCommand {
  check(): boolean {
    return true;
  }
  run(model: Model, queue: WaitingQueue): void {
    queue.clear();
    for (const sequence of model.sorted.entries.splice(0)) {
      expect(queue.has(sequence)).toBe(false);
      model.gone.push(sequence);
    }
    agree(model, queue);
  }
  toString(): string {
    return 'clear()';
  }
}

function numberOf(sequence: Sequence): number {
  return sequence.arrivalOrder;
}

function agree(model: Model, queue: WaitingQueue): void {
  queue.check();
  expect(queue.size).toBe(model.sorted.entries.length);
  expect(queue.peek()).toBe(model.sorted.entries[0] ?? null);
  for (const sequence of model.sorted.entries) expect(queue.has(sequence)).toBe(true);
}

describe('WaitingQueue', () => {
  it('behaves as an array that is sorted after every change', () => {
    const push = fc.integer({ min: -3, max: 3 }).map((key) => new Push(key));
    const commands = fc.commands(
      [
        push,
        push,
        push,
        fc.nat(50).map((which) => new PushAgain(which)),
        fc.constant(new Pop()),
        fc.nat(50).map((which) => new Remove(which)),
        fc.nat(20).map((count) => new Take(count)),
        fc.oneof({ arbitrary: fc.constant(new Clear()), weight: 1 }),
      ],
      { maxCommands: 120, size: '+1' },
    );
    fc.assert(
      fc.property(commands, (run) => {
        fc.modelRun(
          () => ({ model: { sorted: new SortedArray(), gone: [], arrivals: 0 }, real: new WaitingQueue() }),
          run,
        );
      }),
      { numRuns: 500 },
    );
  });

  it('gives the whole of a large queue in order without changing it', () => {
    const queue = new WaitingQueue();
    const expected: Sequence[] = [];
    for (let i = 0; i < 3000; i++) {
      const sequence = sequenceWith(i, (i * 7919) % 101);
      expected.push(sequence);
      queue.push(sequence);
    }
    expected.sort((a, b) => a.orderKey - b.orderKey || a.arrivalOrder - b.arrivalOrder);
    const into: Sequence[] = [];
    expect(queue.takeInOrder(Number.MAX_SAFE_INTEGER, into)).toBe(3000);
    expect(into).toEqual(expected);
    expect(queue.size).toBe(3000);
    for (const sequence of expected) expect(queue.pop()).toBe(sequence);
    expect(queue.pop()).toBeNull();
  });

  it('orders infinite keys', () => {
    const queue = new WaitingQueue();
    const keys = [
      Number.POSITIVE_INFINITY,
      0,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ];
    keys.forEach((key, i) => {
      queue.push(sequenceWith(i, key));
    });
    expect([0, 1, 2, 3, 4].map(() => queue.pop()!.arrivalOrder)).toEqual([2, 4, 1, 0, 3]);
  });

  it('refuses what would break it', () => {
    const queue = new WaitingQueue();
    const other = new WaitingQueue();
    const sequence = sequenceWith(0, 0);
    queue.push(sequence);
    expect(() => queue.push(sequence)).toThrow(InvariantError);
    expect(() => other.push(sequence)).toThrow(InvariantError);
    other.push(sequenceWith(1, 0));
    // Its index points at an entry of the other queue, which is not this sequence.
    expect(other.has(sequence)).toBe(false);
    expect(() => other.remove(sequence)).toThrow(InvariantError);
    queue.remove(sequence);
    expect(() => queue.remove(sequence)).toThrow(InvariantError);
    expect(() => queue.push(sequenceWith(2, Number.NaN))).toThrow(InvariantError);
    expect(queue.size).toBe(0);
  });

  it('notices a key that changed while it waited', () => {
    const queue = new WaitingQueue();
    const sequences = [sequenceWith(0, 0), sequenceWith(1, 1), sequenceWith(2, 2)];
    for (const sequence of sequences) queue.push(sequence);
    sequences[2]!.orderKey = -1;
    expect(() => queue.check()).toThrow(InvariantError);
  });
});

describe('waitingOrderKey', () => {
  it('leaves fcfs to the arrival and priority to the priority', () => {
    expect(waitingOrderKey(request(5, 3), { order: 'fcfs', agingNs: 0 })).toBe(0);
    expect(waitingOrderKey(request(5, 3), { order: 'priority', agingNs: 0 })).toBe(3);
  });

  it('orders any two requests as their aged priorities do, at every time', () => {
    const one = fc.record({ arrivalNs: fc.nat(1_000_000), priority: fc.integer({ min: -20, max: 20 }) });
    fc.assert(
      fc.property(one, one, fc.integer({ min: 1, max: 100_000 }), fc.nat(1_000_000), (a, b, agingNs, laterNs) => {
        const nowNs = Math.max(a.arrivalNs, b.arrivalNs) + laterNs;
        // In units of a level / agingNs, to stay exact.
        const aged = (r: typeof a) => r.priority * agingNs - (nowNs - r.arrivalNs);
        const config = { order: 'priority', agingNs } as const;
        const keyA = waitingOrderKey(request(a.arrivalNs, a.priority), config);
        const keyB = waitingOrderKey(request(b.arrivalNs, b.priority), config);
        expect(Math.sign(keyA - keyB)).toBe(Math.sign(aged(a) - aged(b)));
      }),
    );
  });

  it('lets a request overtake one level only when it arrives within agingNs', () => {
    const config = { order: 'priority', agingNs: 1000 } as const;
    const patient = waitingOrderKey(request(0, 1), config);
    expect(waitingOrderKey(request(999, 0), config)).toBeLessThan(patient);
    expect(waitingOrderKey(request(1001, 0), config)).toBeGreaterThan(patient);
  });
});
