import { ConfigError, RNG_STREAM, type Rng, type Sequence } from '../../core/index.ts';

/**
 * Which drafts the model accepts. Draft i of a step (from 0) is accepted with probability[i], given that those before it were; the last
 * probability holds for all further drafts. Draws belong to (request, output position), and a position is verified at most once, so neither
 * batching nor preemption changes what a request sees.
 */
export class AcceptanceProcess {
  private readonly rng: Rng;
  private readonly probabilities: readonly number[];

  /** Throws ConfigError unless there is at least one probability and all are in [0, 1]. */
  constructor(rng: Rng, probabilities: readonly number[]) {
    if (probabilities.length === 0) throw new ConfigError('acceptance', '[]', 'at least one probability');
    for (const p of probabilities) {
      if (!(p >= 0 && p <= 1)) throw new ConfigError('acceptance', p, 'probabilities in [0, 1]');
    }
    this.rng = rng;
    this.probabilities = probabilities;
  }

  /** Accepted among `drafts` drafts for the outputs after the first `outputTokens` ones; `instead`: probabilities of the moment. */
  accepted(sequence: Sequence, outputTokens: number, drafts: number, instead: readonly number[] | null = null): number {
    const probabilities = instead ?? this.probabilities;
    const last = probabilities.length - 1;
    // Sequences of one request (n > 1) have draws of their own.
    const position = outputTokens ^ (sequence.index << 24);
    let count = 0;
    while (count < drafts) {
      const p = probabilities[count < last ? count : last]!;
      if (this.rng.draw(RNG_STREAM.acceptance, sequence.request.id, position + count) >= p) break;
      count++;
    }
    return count;
  }
}
