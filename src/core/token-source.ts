import { mix32 } from './rng.ts';

/** Names the content of one full block. With `exact`, equal lanes prove equal tokens; otherwise the lanes are a hash. */
export interface BlockKey {
  lane0: number;
  lane1: number;
  exact: boolean;
}

export function emptyBlockKey(): BlockKey {
  return { lane0: 0, lane1: 0, exact: false };
}

/**
 * The tokens of a prompt, which need not exist as numbers until somebody reads them. A source is immutable.
 * Positions count from 0. An `endless` source also defines the tokens after the prompt: the output that the simulated
 * backend implies, so that a virtual step need not store any token.
 */
export interface TokenSource {
  /** Prompt length in tokens. */
  readonly length: number;
  readonly endless: boolean;
  /** The prompt's tokens where they exist as numbers, so that a hit is verified without a copy; else null. */
  readonly array: Int32Array | null;
  /** Writes tokens [from, from + count) to into[at ..]. Reading past `length` is allowed only when `endless`. */
  copy(from: number, count: number, into: Int32Array, at: number): void;
  /** Fills `key` for tokens [index * blockSize, (index + 1) * blockSize), which must all be defined. */
  blockKey(index: number, blockSize: number, key: BlockKey): void;
}

/** Token at `offset` of a stream of identified content: deterministic ids in [3, 32003), no real text. */
export function streamToken(stream: number, offset: number): number {
  return 3 + ((mix32(Math.imul(stream, 0x9e3779b1) ^ mix32(offset)) >>> 0) % 32000);
}

/** Hash of `count` tokens at tokens[from ..] into two 32-bit lanes (FNV-1a and a Murmur-style lane, Math.imul only). */
export function hashTokens(tokens: Int32Array, from: number, count: number, key: BlockKey): void {
  let lane0 = 0x811c9dc5 | 0;
  let lane1 = 0x9747b28c | 0;
  for (let i = from; i < from + count; i++) {
    const token = tokens[i]!;
    lane0 = Math.imul(lane0 ^ token, 0x01000193);
    lane1 = Math.imul(lane1 ^ Math.imul(token, 0xcc9e2d51), 0x1b873593);
    lane1 = (lane1 << 13) | (lane1 >>> 19);
  }
  key.lane0 = mix32(lane0);
  key.lane1 = mix32(lane1);
  key.exact = false;
}

/** A prompt of real token ids. Block keys are hashed once, on first use, and kept. */
export class ArrayTokens implements TokenSource {
  readonly length: number;
  readonly endless = false;
  readonly array: Int32Array;
  private keys: Int32Array | null = null;
  private keysBlockSize = 0;

  constructor(tokens: Int32Array) {
    this.array = tokens;
    this.length = tokens.length;
  }

  copy(from: number, count: number, into: Int32Array, at: number): void {
    for (let i = 0; i < count; i++) into[at + i] = this.array[from + i]!;
  }

  blockKey(index: number, blockSize: number, key: BlockKey): void {
    if (this.keys === null || this.keysBlockSize !== blockSize) this.hashAll(blockSize, key);
    const keys = this.keys!;
    key.lane0 = keys[2 * index]!;
    key.lane1 = keys[2 * index + 1]!;
    key.exact = false;
  }

  private hashAll(blockSize: number, key: BlockKey): void {
    const blocks = Math.floor(this.length / blockSize);
    const keys = new Int32Array(2 * blocks);
    for (let i = 0; i < blocks; i++) {
      hashTokens(this.array, i * blockSize, blockSize, key);
      keys[2 * i] = key.lane0;
      keys[2 * i + 1] = key.lane1;
    }
    this.keys = keys;
    this.keysBlockSize = blockSize;
  }
}

/**
 * Content known by identity only: a list of segments, each a stretch of a numbered stream, then one endless stretch that
 * begins inside the prompt or right after it. Two positions hold the same token if their (stream, offset) are equal.
 * A block inside one stretch has an exact key (stream, offset); one across a seam is hashed from its tokens.
 *
 *     | head: (s0, o0, n0) (s1, o1, n1) ... | tail: (stream, offset) ......endless
 *     0                                     headLength            length (prompt ends anywhere)
 */
export class StreamTokens implements TokenSource {
  readonly length: number;
  readonly endless = true;
  readonly array = null;
  /** Triples (stream, offset, count), or null when the prompt is one stretch. */
  private readonly head: Int32Array | null;
  private readonly headLength: number;
  private readonly stream: number;
  private readonly offset: number;
  /** Where the last look-up ended: block keys are asked for in order. */
  private cursor = 0;
  private cursorStart = 0;

  constructor(length: number, stream: number, offset = 0, head: Int32Array | null = null) {
    this.length = length;
    this.stream = stream;
    this.offset = offset;
    this.head = head;
    let headLength = 0;
    if (head !== null) for (let i = 2; i < head.length; i += 3) headLength += head[i]!;
    this.headLength = headLength;
  }

  copy(from: number, count: number, into: Int32Array, at: number): void {
    const end = from + count;
    let position = from;
    if (this.head !== null && position < this.headLength) {
      let i = this.seek(position);
      let start = this.cursorStart;
      while (position < end && i < this.head.length) {
        const stop = start + this.head[i + 2]!;
        for (; position < stop && position < end; position++) {
          into[at++] = streamToken(this.head[i]!, this.head[i + 1]! + position - start);
        }
        start = stop;
        i += 3;
      }
    }
    for (; position < end; position++) into[at++] = streamToken(this.stream, this.offset + position - this.headLength);
  }

  blockKey(index: number, blockSize: number, key: BlockKey): void {
    const from = index * blockSize;
    if (from >= this.headLength) {
      key.lane0 = this.stream;
      key.lane1 = this.offset + from - this.headLength;
      key.exact = true;
      return;
    }
    const i = this.seek(from);
    if (from + blockSize <= this.cursorStart + this.head![i + 2]!) {
      key.lane0 = this.head![i]!;
      key.lane1 = this.head![i + 1]! + from - this.cursorStart;
      key.exact = true;
      return;
    }
    if (seam.length < blockSize) seam = new Int32Array(blockSize);
    this.copy(from, blockSize, seam, 0);
    hashTokens(seam, 0, blockSize, key);
  }

  /** Index of the head segment that holds `position` (< headLength); its first position is left in cursorStart. */
  private seek(position: number): number {
    const head = this.head!;
    if (position < this.cursorStart) {
      this.cursor = 0;
      this.cursorStart = 0;
    }
    while (position >= this.cursorStart + head[this.cursor + 2]!) {
      this.cursorStart += head[this.cursor + 2]!;
      this.cursor += 3;
    }
    return this.cursor;
  }
}

/** Scratch for a block across a seam. */
let seam = new Int32Array(16);
