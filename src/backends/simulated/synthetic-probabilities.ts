import { type LogprobSource, mix32 } from '../../core/index.ts';

/**
 * Probabilities for a device that computes no logits: a fixed function of the token, the one before it and the vocabulary. They
 * have the form that clients rely on (the chosen token first, alternatives distinct and falling, sum below 1) and no meaning.
 */
export class SyntheticProbabilities implements LogprobSource {
  private readonly vocabularySize: number;

  constructor(vocabularySize: number) {
    this.vocabularySize = vocabularySize;
  }

  fill(
    token: number,
    previous: number,
    top: number,
    floats: Float64Array,
    at: number,
    ids: Int32Array,
    idsAt: number,
  ): void {
    this.alternatives(token, previous, top, ids, idsAt, floats, at + 1);
    floats[at] = Math.log(this.chosen(token, previous));
    for (let i = 1; i <= top; i++) floats[at + i] = Math.log(floats[at + i]!);
  }

  /** Of `token` after `previous`: in [0.35, 0.95). */
  chosen(token: number, previous: number): number {
    return 0.35 + 0.6 * unit(mix32(Math.imul(token + 1, 0x9e3779b1) ^ previous));
  }

  /** The alternatives: rank 0 is the token itself, each further one has half of what is left. Ids to ids[at ..], probabilities to into[to ..]. */
  alternatives(
    token: number,
    previous: number,
    count: number,
    ids: Int32Array,
    at: number,
    into: Float64Array,
    to: number,
  ): void {
    const chosen = this.chosen(token, previous);
    let left = 1 - chosen;
    const stride =
      1 +
      ((mix32(token ^ Math.imul(previous + 1, 0x85ebca6b)) >>> 0) % Math.max(1, Math.floor(this.vocabularySize / 64)));
    for (let rank = 0; rank < count; rank++) {
      if (rank === 0) {
        ids[at] = token;
        into[to] = chosen;
        continue;
      }
      ids[at + rank] = (token + rank * stride) % this.vocabularySize;
      left /= 2;
      // A rank never beats the one above it.
      into[to + rank] = Math.min(left, into[to + rank - 1]! * 0.999);
    }
  }
}

function unit(bits: number): number {
  return (bits >>> 0) / 2 ** 32;
}
