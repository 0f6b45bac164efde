/** Records of a recording, as chunks: words[0 .. lengths[i]) of each. Plain values and shared memory: threads may hand it on. */
export interface TimelineChunks {
  readonly chunks: readonly Float64Array[];
  readonly lengths: readonly number[];
}

/** A trace with the wall times of its steps: of step i, wallNs[2 i] when it was planned and wallNs[2 i + 1] when it had ended. */
export interface StepTrace extends TimelineChunks {
  readonly wallNs: readonly number[];
}

/** An array that several threads can read without a copy. */
export function sharedWords(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * length));
}

/** Where full chunks of records go; returns an array to write on in (its own or another of the same length). */
export type ChunkSink = (words: Float64Array, length: number) => Float64Array;

/** Records as numbers, one after the other, in arrays of one length. No record spans two of them. */
export class TimelineBuffer {
  words: Float64Array;
  /** Words in use. */
  length = 0;
  private readonly full: ChunkSink;
  /** Called on every fresh chunk but the first, to write what makes it readable alone. */
  begun: (() => void) | null = null;

  /** `words`: the first chunk; a record must fit into one. */
  constructor(words: Float64Array, full: ChunkSink) {
    this.words = words;
    this.full = full;
  }

  /** Begins a record of `count` words, two of which it writes; returns the index of the third. */
  begin(code: number, count: number): number {
    if (this.length + count > this.words.length) {
      this.flush();
      this.begun?.();
    }
    const at = this.length;
    this.length = at + count;
    this.words[at] = code;
    this.words[at + 1] = count;
    return at + 2;
  }

  /** Whether `count` more words fit into this chunk. */
  fits(count: number): boolean {
    return this.length + count <= this.words.length;
  }

  /** Hands on what is there. */
  flush(): void {
    if (this.length === 0) return;
    const { words, length } = this;
    this.length = 0;
    this.words = this.full(words, length);
  }
}
