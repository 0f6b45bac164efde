import { type DraftProposer, mix32, type Sequence } from '../../src/core/index.ts';
import { FIRST_TOKEN, type HashModel, hiddenWord, nextToken, readWord, samplingKey } from './hash-model.ts';
import { stateAfter } from './serial-oracle.ts';

/**
 * An adversary among proposers: any number of drafts, each right two times in three, so that every length of accepted
 * prefix occurs. Deterministic in the seed and the sequence's text.
 */
export class GuessingProposer implements DraftProposer {
  private readonly model: HashModel;
  private readonly seed: number;

  constructor(model: HashModel, seed: number) {
    this.model = model;
    this.seed = seed;
  }

  propose(sequence: Sequence, draftsMax: number, into: Int32Array, at: number): number {
    const text = knownText(sequence);
    let state = stateAfter(text, sequence.request.cacheSalt);
    let luck = mix32(this.seed ^ state);
    const drafts = (luck >>> 0) % (draftsMax + 1);
    const key = samplingKey(sequence.request.sampling, sequence.index);
    for (let i = 0; i < drafts; i++) {
      luck = mix32(luck + i);
      const right = nextToken(this.model, state, key);
      const guess = (luck >>> 0) % 3 === 0 ? FIRST_TOKEN + ((luck >>> 8) % this.model.vocabulary) : right;
      into[at + i] = guess;
      state = readWord(state, guess, hiddenWord(state, guess));
    }
    return drafts;
  }
}

function knownText(sequence: Sequence): Int32Array {
  const text = new Int32Array(sequence.knownTokens);
  sequence.request.prompt.copy(0, sequence.promptTokens, text, 0);
  for (let i = 0; i < sequence.outputTokens; i++) text[sequence.promptTokens + i] = sequence.output![i]!;
  return text;
}
