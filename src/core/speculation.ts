import type { Sequence } from './sequence.ts';

/** Guesses the next tokens of a sequence: n-gram prompt lookup, a draft model of a backend, or a simulated one. */
export interface DraftProposer {
  /**
   * Proposes up to `draftsMax` tokens that follow the known text of `sequence`; returns how many. Ids go to into[at ..]
   * unless the backend implies its tokens (`into` is then empty).
   */
  propose(sequence: Sequence, draftsMax: number, into: Int32Array, at: number): number;
}
