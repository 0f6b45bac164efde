import { NONE } from './ids.ts';

/*
 * Fields of block b, and of the prefix node that shares its index. What every allocation touches is eight 32-bit words, half a
 * cache line, in `hot`; what only shared or branching content needs is in `cold`. Index `blocksTotal` is the sentinel of the
 * free list; nodes that cannot have the index of their block live behind it.
 */

/** hot: references (low 24 bits), and whether fences hold the block back. */
export const REFS = 0;
export const REFS_MASK = 0xff_ffff;
export const HAS_FENCES = 1 << 24;
/** hot: neighbours in the free list; NONE when the block is not listed. */
export const NEXT = 1;
export const PREV = 2;
/** hot: flags of block and node. */
export const STATE = 3;
/** The block holds the node of its own index, and nobody else does. */
export const SELF = 1;
/** The block holds the node named in cold NODE, in the ring of its holders. */
export const OTHER = 2;
/** A node lives at this index; its key is exact. Without SELF its holders are in a ring that begins at cold HEAD. */
export const LIVE = 4;
export const EXACT = 8;
/** hot, of the node: parent node or negative root, and the key. */
export const PARENT = 4;
export const LANE0 = 5;
export const LANE1 = 6;
/** hot, of the node: its only child; NONE = no child; MANY = see cold CHILDREN and YOUNGEST. */
export const CHILD = 7;
export const MANY = -2;

/** cold: fences that hold the block back. */
export const FENCES = 0;
/** cold, of the block: its node with OTHER, and its neighbours in the ring of holders. */
export const NODE = 1;
export const RING_NEXT = 2;
export const RING_PREV = 3;
/** cold, of the node: its oldest holder, or NONE. */
export const HEAD = 4;
/** cold, of the node: number of children, and the youngest, which is not in the hash table. */
export const CHILDREN = 5;
export const YOUNGEST = 6;
/** cold, of the node: next in its hash bucket, or in the list of free indices. */
export const CHAIN = 7;

/** Words of an index in each array. */
export const STRIDE = 8;

/** The two arrays, replaced by larger ones when nodes need more room. */
export class BlockSlab {
  readonly blocksTotal: number;
  hot: Int32Array;
  cold: Int32Array;

  constructor(blocksTotal: number) {
    this.blocksTotal = blocksTotal;
    const capacity = blocksTotal + 1 + Math.max(64, blocksTotal >> 3);
    this.hot = new Int32Array(capacity * STRIDE);
    this.cold = new Int32Array(capacity * STRIDE);
    for (let block = 0; block <= blocksTotal; block++) this.hot[block * STRIDE + NEXT] = NONE;
  }

  /** Indices that there is room for. */
  get capacity(): number {
    return this.hot.length / STRIDE;
  }

  grow(): void {
    this.hot = doubled(this.hot);
    this.cold = doubled(this.cold);
  }
}

function doubled(words: Int32Array): Int32Array {
  const larger = new Int32Array(2 * words.length);
  larger.set(words);
  return larger;
}
