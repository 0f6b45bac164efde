import { assert } from './assert.ts';
import {
  BlockSlab,
  FENCES,
  HAS_FENCES,
  NEXT,
  OTHER,
  PREV,
  REFS,
  REFS_MASK,
  SELF,
  STATE,
  STRIDE,
} from './block-slab.ts';
import { NONE } from './ids.ts';

/**
 * Reference counts and the free list of the physical KV blocks. A block is
 *
 * - *in use*: refs > 0, owned by live sequences;
 * - *available*: refs = 0 and listed; with content in the prefix cache it is "cached" (evictable), else "free";
 * - *fenced*: refs = 0, not listed yet, since a step that may still write to it is in flight.
 *
 * The list is one intrusive ring in order of eviction (head first); unlinking is O(1).
 */
export class BlockPool {
  readonly total: number;
  /** Listed blocks. */
  available = 0;
  /** Of these, blocks whose content is still indexed. */
  cached = 0;
  /** Blocks with refs > 0. */
  used = 0;
  /** Blocks with refs = 0 that wait for a step to end. */
  fenced = 0;
  private readonly slab: BlockSlab;
  /** The ring's sentinel: index of its pseudo block. */
  private readonly ring: number;
  /** Fences, oldest first: pairs (block, step), a queue in a ring buffer. */
  private fences = new Int32Array(256);
  private fenceHead = 0;
  private fenceCount = 0;

  constructor(total: number, slab: BlockSlab = new BlockSlab(total)) {
    assert(Number.isInteger(total) && total > 0, 'a pool has at least one block');
    this.total = total;
    this.slab = slab;
    this.ring = total;
    slab.hot[this.ring * STRIDE + NEXT] = this.ring;
    slab.hot[this.ring * STRIDE + PREV] = this.ring;
    for (let block = 0; block < total; block++) this.append(block);
  }

  refs(block: number): number {
    return this.slab.hot[block * STRIDE + REFS]! & REFS_MASK;
  }

  isListed(block: number): boolean {
    return this.slab.hot[block * STRIDE + NEXT] !== NONE;
  }

  /** Whether a step that may still write to the block holds it back. */
  isFenced(block: number): boolean {
    return (this.slab.hot[block * STRIDE + REFS]! & HAS_FENCES) !== 0;
  }

  /** Block that would be taken next, or NONE. */
  head(): number {
    return this.available === 0 ? NONE : this.slab.hot[this.ring * STRIDE + NEXT]!;
  }

  /** Block after `block` in the list, or NONE at its end: for checks and tests. */
  following(block: number): number {
    const next = this.slab.hot[block * STRIDE + NEXT]!;
    return next === this.ring ? NONE : next;
  }

  /** Takes the head of the list with one reference. Its content, if any, is the caller's to drop. */
  take(): number {
    assert(this.available > 0, 'a block is taken only when one is available');
    const slab = this.slab.hot;
    const block = slab[this.ring * STRIDE + NEXT]!;
    const at = block * STRIDE;
    const next = slab[at + NEXT]!;
    slab[this.ring * STRIDE + NEXT] = next;
    slab[next * STRIDE + PREV] = this.ring;
    slab[at + NEXT] = NONE;
    slab[at + REFS] = 1;
    if (!this.isEmpty(block)) this.cached--;
    this.available--;
    this.used++;
    return block;
  }

  /** Takes `count` blocks from the head of the list into into[at ..], each with one reference. */
  takeMany(count: number, into: Int32Array, at: number): void {
    assert(count <= this.available, 'blocks are taken only when they are available');
    const words = this.slab.hot;
    const ring = this.ring * STRIDE;
    let block = words[ring + NEXT]!;
    let cached = 0;
    for (let i = 0; i < count; i++) {
      const base = block * STRIDE;
      into[at + i] = block;
      if ((words[base + STATE]! & (SELF | OTHER)) !== 0) cached++;
      block = words[base + NEXT]!;
      words[base + NEXT] = NONE;
      words[base + REFS] = 1;
    }
    words[ring + NEXT] = block;
    words[block * STRIDE + PREV] = this.ring;
    this.available -= count;
    this.cached -= cached;
    this.used += count;
  }

  /**
   * Removes an owner of each of from[at .. at + count), last first, as `release` does one by one; `emptyToHead` sends those
   * without content to the head of the list.
   */
  releaseMany(from: Int32Array, at: number, count: number, fence: number, emptyToHead: boolean): void {
    const words = this.slab.hot;
    if (fence !== NONE) {
      for (let i = count - 1; i >= 0; i--)
        this.release(from[at + i]!, fence, emptyToHead && this.isEmpty(from[at + i]!));
      return;
    }
    const ring = this.ring * STRIDE;
    let last = words[ring + PREV]!;
    let listed = 0;
    let headed = 0;
    let cached = 0;
    let freed = 0;
    for (let i = count - 1; i >= 0; i--) {
      const block = from[at + i]!;
      const base = block * STRIDE;
      const refs = words[base + REFS]! - 1;
      assert((refs & REFS_MASK) !== REFS_MASK, 'a block is released only by an owner');
      words[base + REFS] = refs;
      if ((refs & REFS_MASK) > 0) continue;
      freed++;
      if (refs !== 0) continue;
      const empty = (words[base + STATE]! & (SELF | OTHER)) === 0;
      if (emptyToHead && empty) {
        words[ring + PREV] = last;
        words[last * STRIDE + NEXT] = this.ring;
        this.prepend(block);
        last = words[ring + PREV]!;
        headed++;
        continue;
      }
      listed++;
      if (!empty) cached++;
      words[base + PREV] = last;
      words[last * STRIDE + NEXT] = block;
      words[base + NEXT] = this.ring;
      last = block;
    }
    words[ring + PREV] = last;
    this.used -= freed;
    this.available += listed;
    this.cached += cached;
    this.fenced += freed - listed - headed;
  }

  private isEmpty(block: number): boolean {
    return (this.slab.hot[block * STRIDE + STATE]! & (SELF | OTHER)) === 0;
  }

  /** Adds an owner: a block that was available or fenced becomes in use again. */
  touch(block: number): void {
    const words = this.slab.hot;
    const at = block * STRIDE;
    const refs = words[at + REFS]!;
    if ((refs & REFS_MASK) === 0) {
      if (words[at + NEXT] === NONE) this.fenced--;
      else this.unlink(block);
      this.used++;
    }
    words[at + REFS] = refs + 1;
  }

  /** `touch` of each of from[0 .. count), copied to into[at ..]. */
  touchMany(from: Int32Array, count: number, into: Int32Array, at: number): void {
    const words = this.slab.hot;
    let unlisted = 0;
    let cached = 0;
    for (let i = 0; i < count; i++) {
      const block = from[i]!;
      into[at + i] = block;
      const base = block * STRIDE;
      const next = words[base + NEXT]!;
      if (next === NONE || words[base + REFS] !== 0) {
        this.touch(block);
        continue;
      }
      const prev = words[base + PREV]!;
      words[prev * STRIDE + NEXT] = next;
      words[next * STRIDE + PREV] = prev;
      words[base + NEXT] = NONE;
      words[base + REFS] = 1;
      unlisted++;
      if ((words[base + STATE]! & (SELF | OTHER)) !== 0) cached++;
    }
    this.available -= unlisted;
    this.used += unlisted;
    this.cached -= cached;
  }

  /**
   * Removes an owner. The last one's block goes to the list's tail (`toHead`: its head), or behind the fence of step
   * `fence` unless that is NONE.
   */
  release(block: number, fence: number, toHead: boolean): void {
    if (fence !== NONE) this.pushFence(block, fence);
    const words = this.slab.hot;
    const at = block * STRIDE;
    const refs = words[at + REFS]! - 1;
    assert((refs & REFS_MASK) !== REFS_MASK, 'a block is released only by an owner');
    words[at + REFS] = refs;
    if ((refs & REFS_MASK) > 0) return;
    this.used--;
    if (refs !== 0) this.fenced++;
    else if (toHead) this.prepend(block);
    else this.append(block);
  }

  /** Step `step` has ended: blocks fenced by it or by earlier ones become available. */
  liftFences(step: number, reuseEmptyFirst: boolean): void {
    while (this.fenceCount > 0) {
      const at = 2 * this.fenceHead;
      if (this.fences[at + 1]! > step) return;
      const block = this.fences[at]!;
      this.fenceHead = (this.fenceHead + 1) % (this.fences.length / 2);
      this.fenceCount--;
      const slot = block * STRIDE;
      const left = this.slab.cold[slot + FENCES]! - 1;
      this.slab.cold[slot + FENCES] = left;
      if (left > 0) continue;
      const refs = this.slab.hot[slot + REFS]! & REFS_MASK;
      this.slab.hot[slot + REFS] = refs;
      if (refs > 0) continue;
      this.fenced--;
      if (reuseEmptyFirst && this.isEmpty(block)) this.prepend(block);
      else this.append(block);
    }
  }

  /** The content of an available block was dropped without taking it; `toHead`: it is reused first. */
  contentDropped(block: number, toHead: boolean): void {
    if (!this.isListed(block)) return;
    this.cached--;
    if (!toHead) return;
    this.unlink(block);
    this.prepend(block);
  }

  private append(block: number): void {
    const slab = this.slab.hot;
    const ring = this.ring * STRIDE;
    const last = slab[ring + PREV]!;
    slab[block * STRIDE + NEXT] = this.ring;
    slab[block * STRIDE + PREV] = last;
    slab[last * STRIDE + NEXT] = block;
    slab[ring + PREV] = block;
    this.available++;
    if (!this.isEmpty(block)) this.cached++;
  }

  private prepend(block: number): void {
    const slab = this.slab.hot;
    const ring = this.ring * STRIDE;
    const first = slab[ring + NEXT]!;
    slab[block * STRIDE + NEXT] = first;
    slab[block * STRIDE + PREV] = this.ring;
    slab[first * STRIDE + PREV] = block;
    slab[ring + NEXT] = block;
    this.available++;
    if (!this.isEmpty(block)) this.cached++;
  }

  private unlink(block: number): void {
    const slab = this.slab.hot;
    const at = block * STRIDE;
    const next = slab[at + NEXT]!;
    const prev = slab[at + PREV]!;
    assert(next !== NONE, 'a block is unlinked only from the list');
    slab[prev * STRIDE + NEXT] = next;
    slab[next * STRIDE + PREV] = prev;
    slab[at + NEXT] = NONE;
    this.available--;
    if (!this.isEmpty(block)) this.cached--;
  }

  private pushFence(block: number, step: number): void {
    let capacity = this.fences.length / 2;
    if (this.fenceCount === capacity) {
      const larger = new Int32Array(4 * capacity);
      for (let i = 0; i < this.fenceCount; i++) {
        const from = 2 * ((this.fenceHead + i) % capacity);
        larger[2 * i] = this.fences[from]!;
        larger[2 * i + 1] = this.fences[from + 1]!;
      }
      this.fences = larger;
      this.fenceHead = 0;
      capacity *= 2;
    }
    const at = 2 * ((this.fenceHead + this.fenceCount++) % capacity);
    this.fences[at] = block;
    this.fences[at + 1] = step;
    this.slab.cold[block * STRIDE + FENCES]!++;
    this.slab.hot[block * STRIDE + REFS]! |= HAS_FENCES;
  }
}
