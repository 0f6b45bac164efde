import { assert } from './assert.ts';
import type { EngineConfig } from './engine-config.ts';
import { NONE } from './ids.ts';
import type { Request } from './request.ts';
import type { Sequence } from './sequence.ts';

/**
 * Sequences that wait, by (orderKey, arrivalOrder), both ascending: a binary heap that keeps each sequence's position in
 * `heapIndex`, so that an abort or a deadline takes its sequence out in O(log n) without a search. The keys must not
 * change while a sequence is in a queue, and it can be in one queue only.
 */
export class WaitingQueue {
  private readonly heap: Sequence[] = [];
  /** Scratch of `takeInOrder`: a heap of positions in `heap`. */
  private frontier = new Int32Array(64);

  get size(): number {
    return this.heap.length;
  }

  has(sequence: Sequence): boolean {
    const index = sequence.heapIndex;
    return index !== NONE && index < this.heap.length && this.heap[index] === sequence;
  }

  push(sequence: Sequence): void {
    assert(sequence.heapIndex === NONE, 'a sequence is in one waiting queue at most');
    assert(!Number.isNaN(sequence.orderKey), 'the key of a waiting sequence is a number');
    const index = this.heap.length;
    this.heap.push(sequence);
    sequence.heapIndex = index;
    this.siftUp(index, sequence);
  }

  /** The first in order, or null. */
  peek(): Sequence | null {
    return this.heap.length === 0 ? null : this.heap[0]!;
  }

  /** Takes out the first in order, or returns null. */
  pop(): Sequence | null {
    if (this.heap.length === 0) return null;
    const first = this.heap[0]!;
    this.remove(first);
    return first;
  }

  /** Takes out a sequence that is in the queue. */
  remove(sequence: Sequence): void {
    assert(this.has(sequence), 'a sequence that leaves a waiting queue is in it');
    const index = sequence.heapIndex;
    const moved = this.heap.pop()!;
    sequence.heapIndex = NONE;
    if (moved === sequence) return;
    this.place(index, moved);
    // The entry that fills the gap comes from another branch: it may belong above or below.
    this.siftUp(index, moved);
    if (moved.heapIndex === index) this.siftDown(index, moved);
  }

  /**
   * Writes the first `count` entries, in order, to into[0 ..] and leaves the queue as it is; returns how many there were.
   * A walk from the root that always visits the best known entry: O(count log count), whatever the queue's size.
   */
  takeInOrder(count: number, into: Sequence[]): number {
    assert(count >= 0, 'a walk over the waiting queue has a length');
    const wanted = Math.min(count, this.heap.length);
    if (wanted === 0) return 0;
    // Each visit takes one position and adds at most two.
    if (this.frontier.length < wanted + 1) this.frontier = new Int32Array(2 * wanted + 1);
    let open = this.openPosition(0, 0);
    for (let taken = 0; taken < wanted; taken++) {
      const index = this.frontier[0]!;
      into[taken] = this.heap[index]!;
      open = this.closeFirst(open);
      const left = 2 * index + 1;
      if (left < this.heap.length) open = this.openPosition(open, left);
      if (left + 1 < this.heap.length) open = this.openPosition(open, left + 1);
    }
    return wanted;
  }

  clear(): void {
    for (const sequence of this.heap) sequence.heapIndex = NONE;
    this.heap.length = 0;
  }

  /** Checks the laws of the whole queue; O(n), for the engine's full check. Throws InvariantError. */
  check(): void {
    for (let index = 0; index < this.heap.length; index++) {
      const sequence = this.heap[index]!;
      assert(sequence.heapIndex === index, 'a waiting sequence knows its position in the queue');
      if (index > 0)
        assert(before(this.heap[(index - 1) >> 1]!, sequence), 'a parent in the waiting queue comes first');
    }
  }

  private siftUp(index: number, sequence: Sequence): void {
    let child = index;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = this.heap[parent]!;
      if (before(above, sequence)) break;
      this.place(child, above);
      child = parent;
    }
    this.place(child, sequence);
  }

  private siftDown(index: number, sequence: Sequence): void {
    const length = this.heap.length;
    let parent = index;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= length) break;
      if (child + 1 < length && before(this.heap[child + 1]!, this.heap[child]!)) child++;
      const below = this.heap[child]!;
      if (before(sequence, below)) break;
      this.place(parent, below);
      parent = child;
    }
    this.place(parent, sequence);
  }

  private place(index: number, sequence: Sequence): void {
    this.heap[index] = sequence;
    sequence.heapIndex = index;
  }

  /** Adds a position to the frontier of `open` entries; returns its new size. */
  private openPosition(open: number, position: number): number {
    const sequence = this.heap[position]!;
    let child = open;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (before(this.heap[this.frontier[parent]!]!, sequence)) break;
      this.frontier[child] = this.frontier[parent]!;
      child = parent;
    }
    this.frontier[child] = position;
    return open + 1;
  }

  /** Takes the first position out of the frontier of `open` entries; returns its new size. */
  private closeFirst(open: number): number {
    const length = open - 1;
    const position = this.frontier[length]!;
    const sequence = this.heap[position]!;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= length) break;
      if (child + 1 < length && before(this.heap[this.frontier[child + 1]!]!, this.heap[this.frontier[child]!]!)) {
        child++;
      }
      if (before(sequence, this.heap[this.frontier[child]!]!)) break;
      this.frontier[parent] = this.frontier[child]!;
      parent = child;
    }
    this.frontier[parent] = position;
    return length;
  }
}

/**
 * Key by which a request waits; equal keys go by arrival.
 *
 * - fcfs: 0.
 * - priority: its priority (smaller is more urgent).
 * - priority with aging: a waiting request gains one level per agingNs, so at time t it stands at
 *   priority - (t - arrivalNs) / agingNs. Everybody who waits ages at the same rate: between two requests t cancels, and
 *   what is left, priority * agingNs + arrivalNs, never changes. So the key is computed once, a heap holds it, and no
 *   waiting time has to be looked at again; a request is overtaken only by those that arrive within agingNs per level.
 *
 * Exact while the result is below 2^53; beyond that it rounds, which keeps the order but may make neighbours equal.
 */
export function waitingOrderKey(request: Request, config: Pick<EngineConfig, 'order' | 'agingNs'>): number {
  switch (config.order) {
    case 'fcfs':
      return 0;
    case 'priority':
      return config.agingNs === 0 ? request.priority : request.priority * config.agingNs + request.arrivalNs;
  }
}

/** Those of sequences[0 .. count) that still wait were passed over; returns whether each of them may be once more. */
export function passOver(sequences: readonly Sequence[], count: number, bypassedMax: number): boolean {
  let open = true;
  for (let i = 0; i < count; i++) {
    const sequence = sequences[i]!;
    if (sequence.state !== 'waiting') continue;
    sequence.bypassed++;
    if (sequence.bypassed >= bypassedMax) open = false;
  }
  return open;
}

function before(a: Sequence, b: Sequence): boolean {
  if (a.orderKey !== b.orderKey) return a.orderKey < b.orderKey;
  return a.arrivalOrder < b.arrivalOrder;
}
