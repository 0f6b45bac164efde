import type { Sequence } from './sequence.ts';
import { type BlockKey, emptyBlockKey, hashTokens } from './token-source.ts';

/**
 * A sequence's known text, prompt and output, block by block: keys for the prefix cache, and where the tokens behind a hashed
 * key can be read. One instance serves all sequences; what it returns holds until the next call.
 */
export class KnownText {
  readonly key: BlockKey = emptyBlockKey();
  /** The tokens of the block whose key was made last: tokens[at ..]. Not filled for an exact key. */
  tokens: Int32Array;
  at = 0;
  private readonly blockSize: number;
  private readonly scratch: Int32Array;

  constructor(blockSize: number) {
    this.blockSize = blockSize;
    this.scratch = new Int32Array(blockSize);
    this.tokens = this.scratch;
  }

  /** Key of block `index`, which must be known to its end. */
  makeKey(sequence: Sequence, index: number): void {
    const source = sequence.request.prompt;
    const from = index * this.blockSize;
    if (source.endless || from + this.blockSize <= source.length) {
      source.blockKey(index, this.blockSize, this.key);
      if (this.key.exact) return;
      if (source.array !== null) {
        this.tokens = source.array;
        this.at = from;
        return;
      }
      this.copy(sequence, from, this.blockSize);
    } else {
      this.copy(sequence, from, this.blockSize);
      hashTokens(this.scratch, 0, this.blockSize, this.key);
    }
    this.tokens = this.scratch;
    this.at = 0;
  }

  /** Known tokens [from, from + count), at most a block of them, in the array returned. */
  copy(sequence: Sequence, from: number, count: number): Int32Array {
    const source = sequence.request.prompt;
    if (source.endless) {
      source.copy(from, count, this.scratch, 0);
      return this.scratch;
    }
    const prompt = Math.max(0, Math.min(count, source.length - from));
    if (prompt > 0) source.copy(from, prompt, this.scratch, 0);
    const output = sequence.output;
    for (let i = prompt; i < count; i++) this.scratch[i] = output![from + i - source.length]!;
    return this.scratch;
  }
}
