import type { Sequence } from './sequence.ts';

/**
 * Hears which KV blocks change hands: allocation logs and leak reports hang on it. Called once per change, not per block or
 * token; arrays are lent for the call, and blocks[at .. at + count) are meant.
 */
export interface BlockObserver {
  /** New blocks for the sequence. */
  allocated(sequence: Sequence, blocks: Int32Array, at: number, count: number): void;
  /** Blocks that hold what the sequence would compute: hits of the prefix cache, and those of its leader. */
  shared(sequence: Sequence, blocks: Int32Array, at: number, count: number): void;
  /** The sequence gave them back. */
  freed(sequence: Sequence, blocks: Int32Array, at: number, count: number): void;
  /** Their content was copied to host memory; `freed` follows. */
  swappedOut(sequence: Sequence, blocks: Int32Array, at: number, count: number): void;
  /** Their content came back from host memory; `allocated` came before. */
  swappedIn(sequence: Sequence, blocks: Int32Array, at: number, count: number): void;
  /** The block lost its cached content to the one who takes it next. */
  evicted(block: number): void;
}
