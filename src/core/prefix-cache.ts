import { assert } from './assert.ts';
import { NONE } from './ids.ts';
import { mix32 } from './rng.ts';
import { type BlockKey, streamToken } from './token-source.ts';

/** Fields of a node in its slab: one node is half a cache line. */
const PARENT = 0;
const LANE0 = 1;
const LANE1 = 2;
const CHAIN = 3;
const HEAD = 4;
const CHILDREN = 5;
const LAST_CHILD = 6;
const EXACT = 7;
const NODE_STRIDE = 8;

/** Fields of a block in its slab. */
const NODE = 0;
const READY_STEP = 1;
const DUP_NEXT = 2;
const DUP_PREV = 3;
/** Last duplicate; kept only in the head of a node's list. */
const DUP_LAST = 4;
const BLOCK_STRIDE = 8;

/**
 * Index of full blocks by content and position: a node is one distinct prefix, (parent node, tokens of its last block), and
 * holds the blocks that store that block's KV, oldest first (two sequences may compute the same prefix at once). A node
 * lives while it has a block or a child, so a chain whose head was evicted is found again when the head is recomputed.
 *
 * A node's youngest child hangs on the node itself; only its elder siblings and first nodes are in the hash table, so that a
 * chain without branches never touches it.
 *
 * Equality is proved, never guessed: the parent is compared by identity, exact keys are the content, and hashed keys are
 * compared token by token. The salt of a request is the parent of its first node, so tenants never meet.
 */
export class PrefixCache {
  readonly blockSize: number;
  /** Blocks with content. */
  entries = 0;
  private readonly blocks: Int32Array;
  private nodes: Int32Array;
  private nodeTokens: Int32Array | null = null;
  private buckets: Int32Array;
  private bucketMask: number;
  /** Freed node ids, linked through CHAIN. */
  private freeNode = NONE;
  private nodesUsed = 0;
  private nodesMade = 0;

  constructor(blocksTotal: number, blockSize: number) {
    this.blockSize = blockSize;
    this.blocks = new Int32Array(blocksTotal * BLOCK_STRIDE);
    for (let i = 0; i < this.blocks.length; i += BLOCK_STRIDE) this.blocks[i + NODE] = NONE;
    const capacity = Math.max(64, blocksTotal + (blocksTotal >> 2));
    this.nodes = new Int32Array(capacity * NODE_STRIDE);
    let buckets = 64;
    while (buckets < 2 * capacity) buckets *= 2;
    this.buckets = new Int32Array(buckets).fill(NONE);
    this.bucketMask = buckets - 1;
  }

  /** Parent of the first block of a chain with this salt. */
  static root(salt: number): number {
    return -2 - salt;
  }

  /** Node of a block's content, or NONE when it has none. */
  nodeOf(block: number): number {
    return this.blocks[block * BLOCK_STRIDE + NODE]!;
  }

  has(block: number): boolean {
    return this.blocks[block * BLOCK_STRIDE + NODE] !== NONE;
  }

  /** Step that computes the block's content: ready once that step has ended. */
  readyStep(block: number): number {
    return this.blocks[block * BLOCK_STRIDE + READY_STEP]!;
  }

  /** First block that stores the node's content, or NONE when all were evicted. */
  blockOf(node: number): number {
    return this.nodes[node * NODE_STRIDE + HEAD]!;
  }

  parentOf(node: number): number {
    return this.nodes[node * NODE_STRIDE + PARENT]!;
  }

  /** Most recently published child of a node: where a partial match is looked for. NONE if it has none. */
  lastChildOf(node: number): number {
    return this.nodes[node * NODE_STRIDE + LAST_CHILD]!;
  }

  /**
   * Node with this parent and content, or NONE. For a hashed key the tokens are verified: `tokens[at ..]` must hold them.
   */
  find(parent: number, key: BlockKey, tokens: Int32Array, at: number): number {
    if (parent >= 0) {
      const base = parent * NODE_STRIDE;
      const children = this.nodes[base + CHILDREN]!;
      if (children === 0) return NONE;
      const child = this.nodes[base + LAST_CHILD]!;
      if (child !== NONE) {
        if (this.holds(child, parent, key, tokens, at)) return child;
        if (children === 1) return NONE;
      }
    }
    let node = this.buckets[bucketHash(parent, key.lane0, key.lane1) & this.bucketMask]!;
    while (node !== NONE && !this.holds(node, parent, key, tokens, at)) node = this.nodes[node * NODE_STRIDE + CHAIN]!;
    return node;
  }

  private holds(node: number, parent: number, key: BlockKey, tokens: Int32Array, at: number): boolean {
    const nodes = this.nodes;
    const base = node * NODE_STRIDE;
    if (nodes[base + LANE1] !== key.lane1 || nodes[base + LANE0] !== key.lane0 || nodes[base + PARENT] !== parent) return false;
    if (key.exact) return nodes[base + EXACT] === 1;
    return nodes[base + EXACT] === 0 && this.sameTokens(node, tokens, at);
  }

  /**
   * Publishes a block as the content (parent, key) that step `readyStep` computes; returns its node. `tokens` as in `find`.
   */
  publish(block: number, parent: number, key: BlockKey, tokens: Int32Array, at: number, readyStep: number): number {
    let node = this.find(parent, key, tokens, at);
    if (node === NONE) node = this.addNode(parent, key, tokens, at);
    const blocks = this.blocks;
    const entry = block * BLOCK_STRIDE;
    assert(blocks[entry + NODE] === NONE, 'a block is published once');
    blocks[entry + NODE] = node;
    blocks[entry + READY_STEP] = readyStep;
    blocks[entry + DUP_NEXT] = NONE;
    const base = node * NODE_STRIDE;
    const head = this.nodes[base + HEAD]!;
    if (head === NONE) {
      this.nodes[base + HEAD] = block;
      blocks[entry + DUP_PREV] = NONE;
      blocks[entry + DUP_LAST] = block;
    } else {
      const last = blocks[head * BLOCK_STRIDE + DUP_LAST]!;
      blocks[last * BLOCK_STRIDE + DUP_NEXT] = block;
      blocks[entry + DUP_PREV] = last;
      blocks[head * BLOCK_STRIDE + DUP_LAST] = block;
    }
    this.entries++;
    return node;
  }

  /** Forgets a block's content (eviction, or a failed step). Does nothing when it has none. */
  drop(block: number): void {
    const blocks = this.blocks;
    const entry = block * BLOCK_STRIDE;
    const node = blocks[entry + NODE]!;
    if (node === NONE) return;
    blocks[entry + NODE] = NONE;
    this.entries--;
    const next = blocks[entry + DUP_NEXT]!;
    const base = node * NODE_STRIDE;
    const head = this.nodes[base + HEAD]!;
    if (head === block) {
      this.nodes[base + HEAD] = next;
      if (next === NONE) {
        if (this.nodes[base + CHILDREN] === 0) this.removeNode(node);
        return;
      }
      blocks[next * BLOCK_STRIDE + DUP_PREV] = NONE;
      blocks[next * BLOCK_STRIDE + DUP_LAST] = blocks[entry + DUP_LAST]!;
    } else {
      const prev = blocks[entry + DUP_PREV]!;
      blocks[prev * BLOCK_STRIDE + DUP_NEXT] = next;
      if (next === NONE) blocks[head * BLOCK_STRIDE + DUP_LAST] = prev;
      else blocks[next * BLOCK_STRIDE + DUP_PREV] = prev;
    }
  }

  /** Leading tokens of the node's block that equal tokens[at .. at + count). */
  commonTokens(node: number, tokens: Int32Array, at: number, count: number): number {
    const base = node * NODE_STRIDE;
    let same = 0;
    if (this.nodes[base + EXACT] === 1) {
      const stream = this.nodes[base + LANE0]!;
      const offset = this.nodes[base + LANE1]!;
      while (same < count && streamToken(stream, offset + same) === tokens[at + same]) same++;
    } else {
      const stored = this.nodeTokens!;
      const from = node * this.blockSize;
      while (same < count && stored[from + same] === tokens[at + same]) same++;
    }
    return same;
  }

  /** Live nodes: for checks and tests. */
  get nodesLive(): number {
    return this.nodesUsed;
  }

  /** Walks a node's blocks in order: for checks and tests. */
  duplicateAfter(block: number): number {
    return this.blocks[block * BLOCK_STRIDE + DUP_NEXT]!;
  }

  private sameTokens(node: number, tokens: Int32Array, at: number): boolean {
    const stored = this.nodeTokens!;
    const size = this.blockSize;
    const from = node * size;
    for (let i = 0; i < size; i++) if (stored[from + i] !== tokens[at + i]) return false;
    return true;
  }

  private addNode(parent: number, key: BlockKey, tokens: Int32Array, at: number): number {
    let node = this.freeNode;
    if (node === NONE) {
      if ((this.nodesMade + 1) * NODE_STRIDE > this.nodes.length) this.growNodes();
      node = this.nodesMade++;
    } else {
      this.freeNode = this.nodes[node * NODE_STRIDE + CHAIN]!;
    }
    this.nodesUsed++;
    const nodes = this.nodes;
    const base = node * NODE_STRIDE;
    nodes[base + PARENT] = parent;
    nodes[base + LANE0] = key.lane0;
    nodes[base + LANE1] = key.lane1;
    nodes[base + HEAD] = NONE;
    nodes[base + CHILDREN] = 0;
    nodes[base + LAST_CHILD] = NONE;
    nodes[base + EXACT] = key.exact ? 1 : 0;
    if (parent >= 0) {
      const above = parent * NODE_STRIDE;
      const elder = nodes[above + LAST_CHILD]!;
      if (elder !== NONE) this.hashNode(elder);
      nodes[above + CHILDREN]!++;
      nodes[above + LAST_CHILD] = node;
    } else {
      this.hashNode(node);
    }
    if (!key.exact) this.keepTokens(node, tokens, at);
    return node;
  }

  private hashNode(node: number): void {
    const nodes = this.nodes;
    const base = node * NODE_STRIDE;
    const bucket = bucketHash(nodes[base + PARENT]!, nodes[base + LANE0]!, nodes[base + LANE1]!) & this.bucketMask;
    nodes[base + CHAIN] = this.buckets[bucket]!;
    this.buckets[bucket] = node;
  }

  private unhashNode(node: number): void {
    const nodes = this.nodes;
    const base = node * NODE_STRIDE;
    const bucket = bucketHash(nodes[base + PARENT]!, nodes[base + LANE0]!, nodes[base + LANE1]!) & this.bucketMask;
    let at = this.buckets[bucket]!;
    if (at === node) {
      this.buckets[bucket] = nodes[base + CHAIN]!;
      return;
    }
    while (nodes[at * NODE_STRIDE + CHAIN] !== node) at = nodes[at * NODE_STRIDE + CHAIN]!;
    nodes[at * NODE_STRIDE + CHAIN] = nodes[base + CHAIN]!;
  }

  private keepTokens(node: number, tokens: Int32Array, at: number): void {
    const size = this.blockSize;
    if (this.nodeTokens === null) this.nodeTokens = new Int32Array((this.nodes.length / NODE_STRIDE) * size);
    const stored = this.nodeTokens;
    const from = node * size;
    for (let i = 0; i < size; i++) stored[from + i] = tokens[at + i]!;
  }

  /** Removes a node without blocks and children, then each ancestor that this leaves without both. */
  private removeNode(node: number): void {
    const nodes = this.nodes;
    for (;;) {
      const base = node * NODE_STRIDE;
      const parent = nodes[base + PARENT]!;
      const above = parent * NODE_STRIDE;
      const isLastChild = parent >= 0 && nodes[above + LAST_CHILD] === node;
      if (!isLastChild) this.unhashNode(node);
      nodes[base + CHAIN] = this.freeNode;
      this.freeNode = node;
      this.nodesUsed--;
      if (parent < 0) return;
      if (isLastChild) nodes[above + LAST_CHILD] = NONE;
      const children = nodes[above + CHILDREN]! - 1;
      nodes[above + CHILDREN] = children;
      if (children > 0 || nodes[above + HEAD] !== NONE) return;
      node = parent;
    }
  }

  private growNodes(): void {
    const nodes = new Int32Array(2 * this.nodes.length);
    nodes.set(this.nodes);
    this.nodes = nodes;
    if (this.nodeTokens !== null) {
      const tokens = new Int32Array((nodes.length / NODE_STRIDE) * this.blockSize);
      tokens.set(this.nodeTokens);
      this.nodeTokens = tokens;
    }
    const buckets = new Int32Array(2 * this.buckets.length).fill(NONE);
    const mask = buckets.length - 1;
    for (const first of this.buckets) {
      for (let node = first; node !== NONE; ) {
        const base = node * NODE_STRIDE;
        const next = nodes[base + CHAIN]!;
        const bucket = bucketHash(nodes[base + PARENT]!, nodes[base + LANE0]!, nodes[base + LANE1]!) & mask;
        nodes[base + CHAIN] = buckets[bucket]!;
        buckets[bucket] = node;
        node = next;
      }
    }
    this.buckets = buckets;
    this.bucketMask = mask;
  }
}

/** Spreads (parent, lanes) over the buckets; equality is decided by the fields themselves. */
function bucketHash(parent: number, lane0: number, lane1: number): number {
  return mix32(Math.imul(parent, 0x9e3779b1) ^ Math.imul(lane0, 0x85ebca6b) ^ Math.imul(lane1 ^ 0x165667b1, 0xc2b2ae35));
}
