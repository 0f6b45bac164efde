import { assert } from './assert.ts';
import {
  BlockSlab,
  CHAIN,
  CHILD,
  CHILDREN,
  EXACT,
  HEAD,
  LANE0,
  LANE1,
  LIVE,
  MANY,
  NODE,
  OTHER,
  PARENT,
  RING_NEXT,
  RING_PREV,
  SELF,
  STATE,
  STRIDE,
  YOUNGEST,
} from './block-slab.ts';
import { NONE } from './ids.ts';
import { mix32 } from './rng.ts';
import { type BlockKey, streamToken } from './token-source.ts';

/**
 * Index of full blocks by content and position: a node is one distinct prefix, (parent node, tokens of its last block), and
 * holds the blocks that store that block's KV, oldest first (two sequences may compute the same prefix at once). A node
 * lives while it has a block or a child, so a chain whose head was evicted is found again when the head is recomputed.
 *
 * A node's youngest child hangs on the node itself; only its elder siblings and first nodes are in the hash table, so that a
 * chain without branches never touches it. A node has the index of the block that first stored it, where that is free.
 *
 * Equality is proved, never guessed: the parent is compared by identity, exact keys are the content, and hashed keys are
 * compared token by token. The salt of a request is the parent of its first node, so tenants never meet.
 */
export class PrefixCache {
  readonly blockSize: number;
  /** Blocks with content. */
  entries = 0;
  private readonly slab: BlockSlab;
  /** Step that computes each block's content. */
  private readonly readySteps: Int32Array;
  private nodeTokens: Int32Array | null = null;
  private readonly buckets: Int32Array;
  private readonly bucketMask: number;
  /** Freed indices behind the blocks, linked through CHAIN, and the first that was never used. */
  private freeNode = NONE;
  private freshNode: number;
  /** Live nodes: for checks and tests. */
  nodesLive = 0;

  constructor(blocksTotal: number, blockSize: number, slab: BlockSlab = new BlockSlab(blocksTotal)) {
    this.blockSize = blockSize;
    this.slab = slab;
    this.readySteps = new Int32Array(blocksTotal);
    this.freshNode = blocksTotal + 1;
    let buckets = 64;
    while (buckets < 2 * blocksTotal) buckets *= 2;
    this.buckets = new Int32Array(buckets).fill(NONE);
    this.bucketMask = buckets - 1;
  }

  /** Parent of the first block of a chain with this salt. */
  static root(salt: number): number {
    return -2 - salt;
  }

  /** Node of a block's content, or NONE when it has none. */
  nodeOf(block: number): number {
    const state = this.slab.hot[block * STRIDE + STATE]!;
    if ((state & SELF) !== 0) return block;
    return (state & OTHER) !== 0 ? this.slab.cold[block * STRIDE + NODE]! : NONE;
  }

  has(block: number): boolean {
    return (this.slab.hot[block * STRIDE + STATE]! & (SELF | OTHER)) !== 0;
  }

  /** Step that computes the block's content: ready once that step has ended. */
  readyStep(block: number): number {
    return this.readySteps[block]!;
  }

  /** Oldest block that stores the node's content, or NONE when all were evicted. */
  blockOf(node: number): number {
    return (this.slab.hot[node * STRIDE + STATE]! & SELF) !== 0 ? node : this.slab.cold[node * STRIDE + HEAD]!;
  }

  parentOf(node: number): number {
    return this.slab.hot[node * STRIDE + PARENT]!;
  }

  /** Most recently published child of a node: where a partial match is looked for. NONE if it has none. */
  lastChildOf(node: number): number {
    const child = this.slab.hot[node * STRIDE + CHILD]!;
    return child === MANY ? this.slab.cold[node * STRIDE + YOUNGEST]! : child;
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

  /**
   * Publishes a block as the content (parent, key) that step `readyStep` computes; returns its node. `tokens` as in `find`.
   */
  publish(block: number, parent: number, key: BlockKey, tokens: Int32Array, at: number, readyStep: number): number {
    const { hot } = this.slab;
    const base = block * STRIDE;
    this.readySteps[block] = readyStep;
    this.entries++;
    // A chain that grows at its tip, nothing shared: by far the most common case.
    if (key.exact && hot[base + STATE] === 0 && parent >= 0 && hot[parent * STRIDE + CHILD] === NONE) {
      this.nodesLive++;
      hot[base + STATE] = SELF | LIVE | EXACT;
      hot[base + PARENT] = parent;
      hot[base + LANE0] = key.lane0;
      hot[base + LANE1] = key.lane1;
      hot[base + CHILD] = NONE;
      hot[parent * STRIDE + CHILD] = block;
      return block;
    }
    return this.publishAnywhere(block, parent, key, tokens, at);
  }

  private publishAnywhere(block: number, parent: number, key: BlockKey, tokens: Int32Array, at: number): number {
    assert(!this.has(block), 'a block is published once');
    const node = this.find(parent, key, tokens, at);
    if (node !== NONE) {
      this.addHolder(node, block);
      return node;
    }
    if ((this.slab.hot[block * STRIDE + STATE]! & LIVE) === 0) {
      this.addNode(block, parent, key, tokens, at);
      this.slab.hot[block * STRIDE + STATE]! |= SELF;
      return block;
    }
    const spare = this.spareNode();
    this.addNode(spare, parent, key, tokens, at);
    this.slab.cold[spare * STRIDE + HEAD] = NONE;
    this.addHolder(spare, block);
    return spare;
  }

  /** Forgets a block's content (eviction, or a failed step). Does nothing when it has none. */
  drop(block: number): void {
    const { hot, cold } = this.slab;
    const at = block * STRIDE;
    const state = hot[at + STATE]!;
    if ((state & SELF) !== 0) {
      this.entries--;
      if (hot[at + CHILD] !== NONE) {
        hot[at + STATE] = state & ~SELF;
        cold[at + HEAD] = NONE;
        return;
      }
      const parent = hot[at + PARENT]! * STRIDE;
      if (parent >= 0 && hot[parent + CHILD] === block && (hot[parent + STATE]! & SELF) !== 0) {
        // The tip of a chain: the same as `removeNode`, without its cases.
        this.nodesLive--;
        hot[at + STATE] = 0;
        hot[parent + CHILD] = NONE;
        return;
      }
      hot[at + STATE] = state & ~SELF;
      this.removeNode(block);
    } else if ((state & OTHER) !== 0) {
      this.entries--;
      hot[at + STATE] = state & ~OTHER;
      this.dropHolder(block);
    }
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

  /** Block behind `block` among those that hold its node, or NONE: for checks and tests. */
  duplicateAfter(block: number): number {
    const { hot, cold } = this.slab;
    if ((hot[block * STRIDE + STATE]! & OTHER) === 0) return NONE;
    const next = cold[block * STRIDE + RING_NEXT]!;
    return next === cold[cold[block * STRIDE + NODE]! * STRIDE + HEAD] ? NONE : next;
  }

  private holds(node: number, parent: number, key: BlockKey, tokens: Int32Array, at: number): boolean {
    const { hot } = this.slab;
    const base = node * STRIDE;
    if (hot[base + LANE1] !== key.lane1 || hot[base + LANE0] !== key.lane0 || hot[base + PARENT] !== parent)
      return false;
    const exact = (hot[base + STATE]! & EXACT) !== 0;
    return exact === key.exact && (exact || this.sameTokens(node, tokens, at));
  }

  private sameTokens(node: number, tokens: Int32Array, at: number): boolean {
    const stored = this.nodeTokens!;
    const size = this.blockSize;
    const from = node * size;
    for (let i = 0; i < size; i++) if (stored[from + i] !== tokens[at + i]) return false;
    return true;
  }

  /** Appends a block to the holders of a node that exists. */
  private addHolder(node: number, block: number): void {
    const { hot, cold } = this.slab;
    const base = node * STRIDE;
    const at = block * STRIDE;
    if ((hot[base + STATE]! & SELF) !== 0) {
      hot[base + STATE] = (hot[base + STATE]! & ~SELF) | OTHER;
      cold[base + NODE] = node;
      cold[base + HEAD] = node;
      cold[base + RING_NEXT] = node;
      cold[base + RING_PREV] = node;
    }
    hot[at + STATE]! |= OTHER;
    cold[at + NODE] = node;
    const head = cold[base + HEAD]!;
    if (head === NONE) {
      cold[base + HEAD] = block;
      cold[at + RING_NEXT] = block;
      cold[at + RING_PREV] = block;
      return;
    }
    const last = cold[head * STRIDE + RING_PREV]!;
    cold[last * STRIDE + RING_NEXT] = block;
    cold[at + RING_PREV] = last;
    cold[at + RING_NEXT] = head;
    cold[head * STRIDE + RING_PREV] = block;
  }

  private dropHolder(block: number): void {
    const { hot, cold } = this.slab;
    const at = block * STRIDE;
    const node = cold[at + NODE]!;
    const base = node * STRIDE;
    const next = cold[at + RING_NEXT]!;
    if (next === block) {
      cold[base + HEAD] = NONE;
      if (hot[base + CHILD] === NONE) this.removeNode(node);
      return;
    }
    const prev = cold[at + RING_PREV]!;
    cold[prev * STRIDE + RING_NEXT] = next;
    cold[next * STRIDE + RING_PREV] = prev;
    if (cold[base + HEAD] === block) cold[base + HEAD] = next;
  }

  private addNode(node: number, parent: number, key: BlockKey, tokens: Int32Array, at: number): void {
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

  /** An index behind the blocks: the block's own is held by a node that lives on without it. */
  private spareNode(): number {
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
    const tokens = new Int32Array(this.slab.capacity * this.blockSize);
    tokens.set(this.nodeTokens);
    this.nodeTokens = tokens;
  }

  private keepTokens(node: number, tokens: Int32Array, at: number): void {
    const size = this.blockSize;
    if (this.nodeTokens === null) this.nodeTokens = new Int32Array(this.slab.capacity * size);
    const stored = this.nodeTokens;
    const from = node * size;
    for (let i = 0; i < size; i++) stored[from + i] = tokens[at + i]!;
  }

  /** Removes a node without holders and children, then each ancestor that this leaves without both. */
  private removeNode(node: number): void {
    const { hot, cold, blocksTotal } = this.slab;
    for (;;) {
      const base = node * STRIDE;
      const parent = hot[base + PARENT]!;
      hot[base + STATE]! &= SELF | OTHER;
      this.nodesLive--;
      if (parent < 0) this.unhashNode(node);
      else this.removeChild(parent, node);
      if (node > blocksTotal) {
        cold[base + CHAIN] = this.freeNode;
        this.freeNode = node;
      }
      if (parent < 0) return;
      const above = parent * STRIDE;
      if (hot[above + CHILD] !== NONE || (hot[above + STATE]! & SELF) !== 0 || cold[above + HEAD] !== NONE) return;
      node = parent;
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
