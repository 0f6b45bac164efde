import { assert } from './assert.ts';
import { ConfigError } from './errors.ts';
import { NONE } from './ids.ts';
import type { Sequence } from './sequence.ts';
import type { DraftProposer } from './speculation.ts';

export interface NgramConfig {
  /** Shortest and longest suffix of the text that is looked up, in tokens; 1 <= ngramMin <= ngramMax. */
  readonly ngramMin: number;
  readonly ngramMax: number;
  /** Prompt and output together: no draft is proposed for a position at or beyond it. */
  readonly modelLenMax: number;
}

/**
 * Drafts by prompt lookup (A. Saxena, github.com/apoorvumang/prompt-lookup-decoding): what followed the text's own suffix
 * when it occurred earlier. The decisions are those of vLLM 0.15.1 (vllm-project/vllm, vllm/v1/spec_decode/ngram_proposer.py).
 *
 * The lookup wants prompt and output in one array, so a copy is kept per slot and only what is new is added to it: a step
 * costs one pass over the text and no allocation, and the memory is bounded by the slots. Output is append-only, so a copy
 * stays right for as long as its slot has the same owner; a preempted sequence that comes back is copied again.
 */
export class NgramProposer implements DraftProposer {
  private readonly config: NgramConfig;
  /** Index = slot. */
  private readonly owners: (Sequence | null)[] = [];
  private readonly texts: Int32Array[] = [];
  /** Tokens of texts[slot] that are filled. */
  private readonly copied: number[] = [];

  /** Throws ConfigError. */
  constructor(config: NgramConfig) {
    whole('ngramMin', config.ngramMin, 1, 1024);
    whole('ngramMax', config.ngramMax, config.ngramMin, 1024);
    whole('modelLenMax', config.modelLenMax, 1, 2 ** 24);
    this.config = config;
  }

  /**
   * Proposes from the tokens that the host knows; the sequence must own a slot. Positions of placeholders are not
   * skipped: propose when no step of the sequence is in flight.
   */
  propose(sequence: Sequence, draftsMax: number, into: Int32Array, at: number): number {
    const { ngramMin, ngramMax, modelLenMax } = this.config;
    const length = sequence.knownTokens;
    if (draftsMax <= 0 || length >= modelLenMax || length < ngramMin) return 0;
    const text = this.text(sequence, length);
    return proposeNgram(text, length, ngramMin, ngramMax, draftsMax, modelLenMax, into, at);
  }

  /** Copy of the sequence's known tokens, at [0, length). */
  private text(sequence: Sequence, length: number): Int32Array {
    const slot = sequence.slot as number;
    assert(slot !== NONE, 'a sequence that drafts owns a slot');
    while (this.owners.length <= slot) {
      this.owners.push(null);
      this.texts.push(EMPTY);
      this.copied.push(0);
    }
    if (this.owners[slot] !== sequence) {
      this.owners[slot] = sequence;
      this.copied[slot] = 0;
      // One very long text must not pin its size on the slot for ever.
      if (this.texts[slot]!.length > 4 * length) this.texts[slot] = EMPTY;
    }
    const copied = this.copied[slot]!;
    assert(copied <= length, 'known tokens are append-only');
    let text = this.texts[slot]!;
    if (text.length < length) {
      text = new Int32Array(length + (length >> 1) + 64);
      text.set(this.texts[slot]!.subarray(0, copied));
      this.texts[slot] = text;
    }
    copyKnown(sequence, copied, length, text);
    this.copied[slot] = length;
    return text;
  }
}

/**
 * Drafts for the text tokens[0 .. length): finds the longest suffix of ngramMin to ngramMax tokens that also occurs earlier
 * (the two may overlap), takes its earliest occurrence, and proposes what followed there: at most `draftsMax` tokens, none
 * at or beyond position `modelLenMax`. Returns how many; ids go to into[at ..], or nowhere if `into` is empty.
 */
export function proposeNgram(
  tokens: Int32Array,
  length: number,
  ngramMin: number,
  ngramMax: number,
  draftsMax: number,
  modelLenMax: number,
  into: Int32Array,
  at: number,
): number {
  const room = Math.min(draftsMax, modelLenMax - length);
  if (room <= 0 || length < ngramMin) return 0;
  const start = ngramEnd(tokens, length, ngramMin, ngramMax);
  if (start === NONE) return 0;
  const count = Math.min(room, length - start);
  if (into.length > 0) for (let i = 0; i < count; i++) into[at + i] = tokens[start + i]!;
  return count;
}

/**
 * Position right after the earliest earlier occurrence of the longest suffix, or NONE. Read backwards the suffix is a
 * prefix, so the Knuth-Morris-Pratt automaton (SIAM J. Comput. 6, 1977) of the reversed text finds for every position the
 * longest prefix that ends there, in one pass:
 *
 *     text       ....... a b c  x y ....... a b c|        the suffix "a b c" and what followed it: x y
 *     reversed   |c b a ....... y x  c b a .......        `i` runs this way; `matched` is 3 at the second "a"
 *
 * The last of equally long matches in this direction is the earliest one in the text.
 */
function ngramEnd(tokens: Int32Array, length: number, ngramMin: number, ngramMax: number): number {
  if (borders.length < ngramMax) borders = new Int32Array(ngramMax);
  borders.fill(0, 0, ngramMax);
  const last = length - 1;
  const first = tokens[last]!;
  let longest = 0;
  let longestAt = 0;
  let matched = 0;
  for (let i = 1; i < length; i++) {
    // Most positions of most texts begin no match: pass over them in a tight loop.
    if (matched === 0) while (i < length && tokens[last - i]! !== first) i++;
    if (i >= length) break;
    const token = tokens[last - i]!;
    while (matched > 0 && token !== tokens[last - matched]!) matched = borders[matched - 1]!;
    if (token === tokens[last - matched]!) matched++;
    if (matched >= longest) {
      longest = matched;
      longestAt = i;
    }
    if (i < ngramMax) borders[i] = matched;
    // No n-gram is longer than ngramMax: go on with the next shorter prefix that ends here.
    if (matched === ngramMax) matched = borders[ngramMax - 1]!;
  }
  return longest < ngramMin ? NONE : last - longestAt + longest;
}

/** Writes known tokens [from, to) of a sequence to into[from ..]. */
function copyKnown(sequence: Sequence, from: number, to: number, into: Int32Array): void {
  const output = sequence.output;
  const promptTokens = sequence.promptTokens;
  // Without an output array the backend implies its tokens: the prompt's source then defines them too.
  const sourceEnd = output === null ? to : Math.min(to, promptTokens);
  if (from < sourceEnd) sequence.request.prompt.copy(from, sourceEnd - from, into, from);
  if (output === null) return;
  for (let i = Math.max(from, promptTokens); i < to; i++) into[i] = output[i - promptTokens]!;
}

function whole(field: string, value: number, min: number, max: number): void {
  if (!(Number.isInteger(value) && value >= min && value <= max)) {
    throw new ConfigError(`speculation.${field}`, value, `an integer in [${min}, ${max}]`);
  }
}

const EMPTY = new Int32Array(0);

/** Scratch: borders[j] = length of the longest proper prefix of the reversed text that ends at its position j. */
let borders = new Int32Array(16);
