import { assert } from './assert.ts';
import {
  type BlockSlab,
  CHAIN,
  CHILD,
  CHILDREN,
  EXACT,
  LANE0,
  LANE1,
  LIVE,
  MANY,
  OTHER,
  PARENT,
  SELF,
  STATE,
  STRIDE,
  YOUNGEST,
} from './block-slab.ts';
import { NONE } from './ids.ts';
import { mix32 } from './rng.ts';
import { type BlockKey, streamToken } from './token-source.ts';

/**
 * The nodes of a prefix cache: their keys, their parents and children, and how a child is found. A node's youngest child hangs
 * on the node itself; only its elder siblings and first nodes are in the hash table, so that a chain without branches never
 * touches it. Who stores a node's content is the cache's business.
 */
export class NodeTable {
  nodesLive = 0;
  private readonly slab: BlockSlab;
  private readonly blockSize: number;
  /** Tokens of the nodes with hashed keys; made when the first of them comes. */
  private nodeTokens: Int32Array | null = null;
  /** The same memory in pairs. */
  private nodePairs: Float64Array | null = null;
  private readonly buckets: Int32Array;
  private readonly bucketMask: number;
  /** Freed indices behind the blocks, linked through CHAIN, and the first that was never used. */
  private freeNode = NONE;
  private freshNode: number;

  constructor(slab: BlockSlab, blockSize: number) {
    this.slab = slab;
    this.blockSize = blockSize;
    this.freshNode = slab.blocksTotal + 1;
    let buckets = 64;
    while (buckets < 2 * slab.blocksTotal) buckets *= 2;
    this.buckets = new Int32Array(buckets).fill(NONE);
    this.bucketMask = buckets - 1;
  }

  /**
   * Node with this parent and content, or NONE. For a hashed key the tokens are verified: `tokens[at ..]` must hold them.
   */
  find(parent: number, key: BlockKey, tokens: Int32Array, at: number): number {
    if (parent >= 0) {
      const child = this.slab.hot[parent * STRIDE + CHILD]!;
      if (child === NONE) return NONE;
      if (child !== MANY) return this.holds(child, parent, key, tokens, at) ? child : NONE;
      const youngest = this.slab.cold[parent * STRIDE + YOUNGEST]!;
      if (youngest !== NONE && this.holds(youngest, parent, key, tokens, at)) return youngest;
    }
    let node = this.buckets[bucketHash(parent, key.lane0, key.lane1) & this.bucketMask]!;
    while (node !== NONE && !this.holds(node, parent, key, tokens, at)) node = this.slab.cold[node * STRIDE + CHAIN]!;
    return node;
  }

  /** Leading tokens of the node's block that equal tokens[at .. at + count). */
  commonTokens(node: number, tokens: Int32Array, at: number, count: number): number {
    const { hot } = this.slab;
    const base = node * STRIDE;
    let same = 0;
    if ((hot[base + STATE]! & EXACT) !== 0) {
      const stream = hot[base + LANE0]!;
      const offset = hot[base + LANE1]!;
      while (same < count && streamToken(stream, offset + same) === tokens[at + same]) same++;
    } else {
      const stored = this.nodeTokens!;
      const from = node * this.blockSize;
      while (same < count && stored[from + same] === tokens[at + same]) same++;
    }
    return same;
  }

  private holds(node: number, parent: number, key: BlockKey, tokens: Int32Array, at: number): boolean {
    const { hot } = this.slab;
    const base = node * STRIDE;
    if (hot[base + LANE1] !== key.lane1 || hot[base + LANE0] !== key.lane0 || hot[base + PARENT] !== parent)
      return false;
    const exact = (hot[base + STATE]! & EXACT) !== 0;
    return exact === key.exact && (exact || this.sameTokens(node, tokens, at));
  }

  sameTokens(node: number, tokens: Int32Array, at: number): boolean {
    const stored = this.nodeTokens!;
    const size = this.blockSize;
    const from = node * size;
    for (let i = 0; i < size; i++) if (stored[from + i] !== tokens[at + i]) return false;
    return true;
  }

  /**
   * `sameTokens` for tokens in pairs, read as 64-bit floats: half the comparisons, and a hit of a long prompt spends most of
   * its time in them. Token ids lie below 0x7ff00000, so that no pair is a NaN or a negative zero, and equal means equal bits.
   * (Were it not so, a NaN only makes equal pairs differ, and `sameTokens` has the last word.) The block size is even.
   */
  samePairs(node: number, pairs: Float64Array, at: number): boolean {
    const stored = this.nodePairs!;
    const size = this.blockSize >> 1;
    const from = node * size;
    for (let i = 0; i < size; i++) if (stored[from + i] !== pairs[at + i]) return false;
    return true;
  }

  /** A new node at index `node`, below `parent`. */
  add(node: number, parent: number, key: BlockKey, tokens: Int32Array, at: number): void {
    const { hot, cold } = this.slab;
    const base = node * STRIDE;
    this.nodesLive++;
    hot[base + STATE] = (hot[base + STATE]! & (SELF | OTHER)) | (key.exact ? LIVE | EXACT : LIVE);
    hot[base + PARENT] = parent;
    hot[base + LANE0] = key.lane0;
    hot[base + LANE1] = key.lane1;
    hot[base + CHILD] = NONE;
    if (!key.exact) this.keepTokens(node, tokens, at);
    if (parent < 0) {
      this.hashNode(node);
      return;
    }
    const above = parent * STRIDE;
    const child = hot[above + CHILD]!;
    if (child === NONE) {
      hot[above + CHILD] = node;
      return;
    }
    if (child !== MANY) {
      hot[above + CHILD] = MANY;
      cold[above + CHILDREN] = 1;
      cold[above + YOUNGEST] = child;
    }
    if (cold[above + YOUNGEST] !== NONE) this.hashNode(cold[above + YOUNGEST]!);
    cold[above + CHILDREN]!++;
    cold[above + YOUNGEST] = node;
  }

  /** An index behind the blocks, for a block whose own is held by a node that lives on without it. */
  spare(): number {
    const node = this.freeNode;
    if (node !== NONE) {
      this.freeNode = this.slab.cold[node * STRIDE + CHAIN]!;
      return node;
    }
    if (this.freshNode === this.slab.capacity) this.grow();
    return this.freshNode++;
  }

  private grow(): void {
    this.slab.grow();
    if (this.nodeTokens === null) return;
    const stored = this.nodeTokens;
    this.makeTokens().set(stored);
  }

  private makeTokens(): Int32Array {
    const tokens = new Int32Array(this.slab.capacity * this.blockSize);
    this.nodeTokens = tokens;
    this.nodePairs = new Float64Array(tokens.buffer, 0, tokens.length >> 1);
    return tokens;
  }

  private keepTokens(node: number, tokens: Int32Array, at: number): void {
    const size = this.blockSize;
    const stored = this.nodeTokens ?? this.makeTokens();
    const from = node * size;
    for (let i = 0; i < size; i++) stored[from + i] = tokens[at + i]!;
  }

  /** Takes out a node without children. */
  remove(node: number): void {
    const { hot, cold, blocksTotal } = this.slab;
    const base = node * STRIDE;
    const parent = hot[base + PARENT]!;
    assert(hot[base + CHILD] === NONE, 'a node that is removed has no children');
    hot[base + STATE]! &= SELF | OTHER;
    this.nodesLive--;
    if (parent < 0) this.unhashNode(node);
    else this.removeChild(parent, node);
    if (node > blocksTotal) {
      cold[base + CHAIN] = this.freeNode;
      this.freeNode = node;
    }
  }

  private removeChild(parent: number, node: number): void {
    const { hot, cold } = this.slab;
    const above = parent * STRIDE;
    if (hot[above + CHILD] === node) {
      hot[above + CHILD] = NONE;
      return;
    }
    if (cold[above + YOUNGEST] === node) cold[above + YOUNGEST] = NONE;
    else this.unhashNode(node);
    cold[above + CHILDREN]!--;
    if (cold[above + CHILDREN] === 0) hot[above + CHILD] = NONE;
  }

  private hashNode(node: number): void {
    const bucket = this.bucketOf(node);
    this.slab.cold[node * STRIDE + CHAIN] = this.buckets[bucket]!;
    this.buckets[bucket] = node;
  }

  private unhashNode(node: number): void {
    const { cold } = this.slab;
    const bucket = this.bucketOf(node);
    let at = this.buckets[bucket]!;
    if (at === node) {
      this.buckets[bucket] = cold[node * STRIDE + CHAIN]!;
      return;
    }
    while (cold[at * STRIDE + CHAIN] !== node) at = cold[at * STRIDE + CHAIN]!;
    cold[at * STRIDE + CHAIN] = cold[node * STRIDE + CHAIN]!;
  }

  private bucketOf(node: number): number {
    const { hot } = this.slab;
    const base = node * STRIDE;
    return bucketHash(hot[base + PARENT]!, hot[base + LANE0]!, hot[base + LANE1]!) & this.bucketMask;
  }
}

/** Spreads (parent, lanes) over the buckets; equality is decided by the fields themselves. */
function bucketHash(parent: number, lane0: number, lane1: number): number {
  return mix32(
    Math.imul(parent, 0x9e3779b1) ^ Math.imul(lane0, 0x85ebca6b) ^ Math.imul(lane1 ^ 0x165667b1, 0xc2b2ae35),
  );
}
