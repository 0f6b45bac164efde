import { mix32, type Request, type Sequence } from '../../core/index.ts';
import { endOutputToken } from './token-oracle.ts';

/** Says which token a sequence produces, for a simulated device whose tokens have ids. */
export interface TokenWriter {
  /** Id of output token `index` (from 0) of the sequence. The same arguments give the same id, whatever the batch. */
  token(sequence: Sequence, index: number): number;
}

/** Text to answer with, as token ids, and where its sentences begin. */
export interface AnswerText {
  readonly ids: Int32Array;
  readonly sentenceStarts: Int32Array;
  /** Written when the model ends by itself. */
  readonly eosTokenId: number;
}

/**
 * Answers with a stretch of a fixed text that begins at a sentence and goes round. Where it begins follows from the prompt, the
 * sibling's index and the seed: greedy requests and requests with a seed repeat themselves, others differ.
 */
export class TextWriter implements TokenWriter {
  private readonly text: AnswerText;
  private readonly seed: number;
  /** By slot: whose beginning it is (request id, sibling index), and the beginning. */
  private readonly requestOfSlot: Float64Array;
  private readonly indexOfSlot: Int32Array;
  private readonly startOfSlot: Int32Array;
  private readonly endOfSlot: Float64Array;

  constructor(text: AnswerText, seed: number, sequencesMax: number) {
    this.text = text;
    this.seed = seed;
    this.requestOfSlot = new Float64Array(sequencesMax).fill(-1);
    this.indexOfSlot = new Int32Array(sequencesMax);
    this.startOfSlot = new Int32Array(sequencesMax);
    this.endOfSlot = new Float64Array(sequencesMax);
  }

  token(sequence: Sequence, index: number): number {
    const slot = sequence.slot;
    if (this.requestOfSlot[slot] !== sequence.request.id || this.indexOfSlot[slot] !== sequence.index) {
      this.requestOfSlot[slot] = sequence.request.id;
      this.indexOfSlot[slot] = sequence.index;
      this.startOfSlot[slot] = this.start(sequence.request, sequence.index);
      this.endOfSlot[slot] = endOutputToken(sequence.request);
    }
    if (index + 1 >= this.endOfSlot[slot]!) return this.text.eosTokenId;
    const { ids } = this.text;
    return ids[(this.startOfSlot[slot]! + index) % ids.length]!;
  }

  private start(request: Request, index: number): number {
    const { seed, temperature } = request.sampling;
    let hash = mix32(this.seed ^ (seed ?? (temperature === 0 ? 0 : request.id)));
    const { length } = request.prompt;
    const tokens = new Int32Array(Math.min(length, 256));
    request.prompt.copy(length - tokens.length, tokens.length, tokens, 0);
    for (const token of tokens) hash = Math.imul(hash ^ token, 0x01000193);
    const starts = this.text.sentenceStarts;
    return starts[(mix32(hash ^ Math.imul(index, 0x9e3779b1)) >>> 0) % starts.length]!;
  }
}
