import { assert } from './assert.ts';
import {
  BlockSlab,
  CHILD,
  EXACT,
  HEAD,
  LANE0,
  LANE1,
  LIVE,
  MANY,
  NEXT,
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
import { NodeTable } from './node-table.ts';
import type { BlockKey } from './token-source.ts';

/**
 * Index of full blocks by content and position: a node is one distinct prefix, (parent node, tokens of its last block), and
 * holds the blocks that store that block's KV, oldest first (two sequences may compute the same prefix at once). A node
 * lives while it has a block or a child, so a chain whose head was evicted is found again when the head is recomputed.
 *
 * A node has the index of the block that first stored it, where that is free.
 *
 * Equality is proved, never guessed: the parent is compared by identity, exact keys are the content, and hashed keys are
 * compared token by token. The salt of a request is the parent of its first node, so tenants never meet.
 */
export class PrefixCache {
  readonly blockSize: number;
  /** Blocks with content. */
  entries = 0;
  /** Of the blocks that `follow` found last, those without an owner. */
  followedListed = 0;
  private readonly slab: BlockSlab;
  /** Step that computes each block's content. */
  private readonly readySteps: Int32Array;
  private readonly table: NodeTable;

  constructor(blocksTotal: number, blockSize: number, slab: BlockSlab = new BlockSlab(blocksTotal)) {
    this.blockSize = blockSize;
    this.slab = slab;
    this.readySteps = new Int32Array(blocksTotal);
    this.table = new NodeTable(slab, blockSize);
  }

  /** Live nodes: for checks and tests. */
  get nodesLive(): number {
    return this.table.nodesLive;
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
    return this.table.find(parent, key, tokens, at);
  }

  /** Leading tokens of the node's block that equal tokens[at .. at + count). */
  commonTokens(node: number, tokens: Int32Array, at: number, count: number): number {
    return this.table.commonTokens(node, tokens, at, count);
  }

  /**
   * Goes down from `node` as long as its only child holds just the next block of tokens[at ..], in the block of its own
   * index and ready by step `readyMax`: the hits of a long prompt, verified token by token and without a key. Writes up to
   * `max` blocks to into[intoAt ..] and returns how many.
   */
  follow(
    node: number,
    tokens: Int32Array,
    at: number,
    max: number,
    readyMax: number,
    into: Int32Array,
    intoAt: number,
  ): number {
    const { hot } = this.slab;
    const { blockSize, table } = this;
    const inPairs = blockSize % 2 === 0 && tokens.byteOffset % 8 === 0 && at % 2 === 0;
    const pairs = inPairs ? new Float64Array(tokens.buffer, tokens.byteOffset, tokens.length >> 1) : null;
    let listed = 0;
    let count = 0;
    for (; count < max; count++, at += blockSize) {
      const child = hot[node * STRIDE + CHILD]!;
      if (child < 0 || (hot[child * STRIDE + STATE]! & (SELF | EXACT)) !== SELF) break;
      if (this.readySteps[child]! > readyMax) break;
      if (pairs === null || !table.samePairs(child, pairs, at >> 1)) {
        if (!table.sameTokens(child, tokens, at)) break;
      }
      into[intoAt + count] = child;
      if (hot[child * STRIDE + NEXT] !== NONE) listed++;
      node = child;
    }
    this.followedListed = listed;
    return count;
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
      this.table.nodesLive++;
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
    const node = this.table.find(parent, key, tokens, at);
    if (node !== NONE) {
      this.addHolder(node, block);
      return node;
    }
    if ((this.slab.hot[block * STRIDE + STATE]! & LIVE) === 0) {
      this.table.add(block, parent, key, tokens, at);
      this.slab.hot[block * STRIDE + STATE]! |= SELF;
      return block;
    }
    const spare = this.table.spare();
    this.table.add(spare, parent, key, tokens, at);
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
        this.table.nodesLive--;
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

  /** Block behind `block` among those that hold its node, or NONE: for checks and tests. */
  duplicateAfter(block: number): number {
    const { hot, cold } = this.slab;
    if ((hot[block * STRIDE + STATE]! & OTHER) === 0) return NONE;
    const next = cold[block * STRIDE + RING_NEXT]!;
    return next === cold[cold[block * STRIDE + NODE]! * STRIDE + HEAD] ? NONE : next;
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

  /** Removes a node without holders and children, then each ancestor that this leaves without both. */
  private removeNode(node: number): void {
    const { hot, cold } = this.slab;
    for (;;) {
      const parent = hot[node * STRIDE + PARENT]!;
      this.table.remove(node);
      if (parent < 0) return;
      const above = parent * STRIDE;
      if (hot[above + CHILD] !== NONE || (hot[above + STATE]! & SELF) !== 0 || cold[above + HEAD] !== NONE) return;
      node = parent;
    }
  }
}
