import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, InvariantError } from '../../src/core/errors.ts';
import type { SeqSlot } from '../../src/core/ids.ts';
import { NgramProposer, proposeNgram } from '../../src/core/ngram-proposer.ts';
import { Request } from '../../src/core/request.ts';
import { Sequence } from '../../src/core/sequence.ts';
import { NO_SINK } from '../../src/core/token-sink.ts';
import { ArrayTokens, StreamTokens, type TokenSource } from '../../src/core/token-source.ts';

function drafts(tokens: readonly number[], min: number, max: number, draftsMax: number, modelLenMax = 1000): number[] {
  const into = new Int32Array(64);
  const count = proposeNgram(Int32Array.from(tokens), tokens.length, min, max, draftsMax, modelLenMax, into, 0);
  return Array.from(into.subarray(0, count));
}

/** The definition, by trying every length and every place. */
function draftsByDefinition(tokens: readonly number[], min: number, max: number, draftsMax: number, lenMax: number) {
  const room = Math.min(draftsMax, lenMax - tokens.length);
  if (room <= 0) return [];
  for (let n = Math.min(max, tokens.length - 1); n >= min; n--) {
    for (let from = 0; from + n < tokens.length; from++) {
      const same = tokens.slice(from, from + n).every((token, i) => token === tokens[tokens.length - n + i]);
      if (same) return tokens.slice(from + n, from + n + room);
    }
  }
  return [];
}

function sequenceOf(prompt: TokenSource, slot: number, outputTokensMax = 100): Sequence {
  const sequence = new Sequence(new Request(1, 0, { prompt, outputTokensMax }), 0, NO_SINK, 0, null, 4096);
  sequence.slot = slot as SeqSlot;
  return sequence;
}

function append(sequence: Sequence, tokens: readonly number[]): void {
  if (sequence.output === null) sequence.output = new Int32Array(1024);
  for (const token of tokens) sequence.output[sequence.outputTokens++] = token;
  sequence.knownTokens = sequence.promptTokens + sequence.outputTokens;
}

describe('proposeNgram', () => {
  it('prefers the longest suffix, and of its occurrences the earliest', () => {
    // "1 2 3" occurs twice before; "2 3" alone already earlier.
    expect(drafts([2, 3, 9, 1, 2, 3, 7, 1, 2, 3, 8, 1, 2, 3], 1, 3, 1)).toEqual([7]);
    expect(drafts([2, 3, 9, 1, 2, 3, 7, 1, 2, 3, 8, 1, 2, 3], 1, 2, 1)).toEqual([9]);
  });

  it('drafts through an overlap with the suffix itself, up to the end of the text', () => {
    expect(drafts([5, 5, 5, 5], 1, 3, 4)).toEqual([5]);
    expect(drafts([5, 6, 5, 6, 5, 6], 2, 2, 9)).toEqual([5, 6, 5, 6]);
  });

  it('proposes nothing without a match of ngramMin tokens', () => {
    expect(drafts([1, 2, 3, 4, 2], 2, 4, 4)).toEqual([]);
    expect(drafts([], 1, 4, 4)).toEqual([]);
    expect(drafts([1], 1, 4, 4)).toEqual([]);
  });

  it('proposes nothing at or beyond modelLenMax', () => {
    const text = [1, 2, 3, 4, 1, 2];
    expect(drafts(text, 2, 2, 4, 9)).toEqual([3, 4, 1]);
    expect(drafts(text, 2, 2, 4, 7)).toEqual([3]);
    expect(drafts(text, 2, 2, 4, 6)).toEqual([]);
    expect(drafts(text, 2, 2, 4, 5)).toEqual([]);
  });

  it('equals the definition on random texts', () => {
    const text = fc.integer({ min: 1, max: 4 }).chain((kinds) => fc.array(fc.nat({ max: kinds }), { maxLength: 60 }));
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: 1, max: 6 }),
        fc.nat(5),
        fc.nat(8),
        fc.nat(70),
        (tokens, min, more, k, len) => {
          expect(drafts(tokens, min, min + more, k, len)).toEqual(draftsByDefinition(tokens, min, min + more, k, len));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('writes at the offset, looks at `length` tokens only, and only counts when there is nowhere to write', () => {
    const tokens = Int32Array.from([1, 2, 3, 1, 2, 77, 77]);
    const into = new Int32Array(6).fill(-7);
    expect(proposeNgram(tokens, 5, 2, 2, 2, 100, into, 3)).toBe(2);
    expect(Array.from(into)).toEqual([-7, -7, -7, 3, 1, -7]);
    expect(proposeNgram(tokens, 5, 2, 2, 2, 100, new Int32Array(0), 0)).toBe(2);
  });
});

describe('NgramProposer', () => {
  const config = { ngramMin: 1, ngramMax: 3, modelLenMax: 500 };

  it('proposes from prompt and output, as they grow', () => {
    const proposer = new NgramProposer(config);
    const sequence = sequenceOf(new ArrayTokens(Int32Array.from([10, 11, 12, 13])), 2);
    const into = new Int32Array(8);
    expect(proposer.propose(sequence, 4, into, 0)).toBe(0);
    append(sequence, [11]);
    expect(proposer.propose(sequence, 2, into, 0)).toBe(2);
    expect(Array.from(into.subarray(0, 2))).toEqual([12, 13]);
    append(sequence, [12, 40]);
    expect(proposer.propose(sequence, 4, into, 0)).toBe(0);
    append(sequence, [12]);
    // "12" first occurs in the prompt, and is followed there by 13.
    expect(proposer.propose(sequence, 1, into, 0)).toBe(1);
    expect(into[0]).toBe(13);
  });

  it('gives what the whole text gives, whoever had the slot before and wherever the sequence moves', () => {
    const step = fc.record({
      who: fc.nat(3),
      slot: fc.nat(1),
      tokens: fc.array(fc.nat({ max: 2 }), { maxLength: 12 }),
    });
    const prompts = fc.array(fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 40 }), {
      minLength: 4,
      maxLength: 4,
    });
    fc.assert(
      fc.property(prompts, fc.array(step, { maxLength: 40 }), (texts, steps) => {
        const proposer = new NgramProposer(config);
        const known = texts.map((t) => [...t]);
        const sequences = texts.map((t) => sequenceOf(new ArrayTokens(Int32Array.from(t)), 0));
        for (const { who, slot, tokens } of steps) {
          const sequence = sequences[who]!;
          sequence.slot = slot as SeqSlot;
          append(sequence, tokens);
          known[who]!.push(...tokens);
          const into = new Int32Array(5);
          const count = proposer.propose(sequence, 5, into, 0);
          expect(Array.from(into.subarray(0, count))).toEqual(draftsByDefinition(known[who]!, 1, 3, 5, 500));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keeps the beginning of a text that outgrows its copy', () => {
    const proposer = new NgramProposer({ ...config, modelLenMax: 4096 });
    const sequence = sequenceOf(new ArrayTokens(Int32Array.from([900, 901, 902, 903])), 0);
    const into = new Int32Array(2);
    for (let i = 0; i < 800; i++) {
      append(sequence, [i]);
      proposer.propose(sequence, 2, into, 0);
    }
    append(sequence, [900, 901]);
    expect(proposer.propose(sequence, 2, into, 0)).toBe(2);
    expect(Array.from(into)).toEqual([902, 903]);
  });

  it('reads only what is new from the prompt', () => {
    const reads: [number, number][] = [];
    const tokens = new ArrayTokens(Int32Array.from([1, 2, 3, 1, 2, 3]));
    const source: TokenSource = {
      length: 6,
      endless: false,
      array: null,
      copy(from, count, into, at) {
        reads.push([from, count]);
        tokens.copy(from, count, into, at);
      },
      blockKey: (index, blockSize, key) => tokens.blockKey(index, blockSize, key),
    };
    const proposer = new NgramProposer(config);
    const sequence = sequenceOf(source, 0);
    const into = new Int32Array(4);
    for (let i = 0; i < 5; i++) {
      proposer.propose(sequence, 4, into, 0);
      append(sequence, [1]);
    }
    expect(reads).toEqual([[0, 6]]);
  });

  it('takes implied output from an endless prompt, and counts without writing', () => {
    // After the head (offsets 0 to 19 of stream 7) the tail runs over the same offsets: position 20 + i repeats position i.
    const head = Int32Array.from([7, 0, 20]);
    const sequence = sequenceOf(new StreamTokens(22, 7, 0, head), 0);
    sequence.outputTokens = 8;
    sequence.knownTokens = 30;
    const proposer = new NgramProposer(config);
    expect(proposer.propose(sequence, 4, new Int32Array(0), 0)).toBe(4);
    const into = new Int32Array(4);
    proposer.propose(sequence, 4, into, 0);
    const expected = new Int32Array(4);
    sequence.request.prompt.copy(30, 4, expected, 0);
    expect(into).toEqual(expected);
  });

  it('refuses a sequence without a slot, and impossible settings', () => {
    const proposer = new NgramProposer(config);
    const sequence = sequenceOf(new ArrayTokens(Int32Array.from([1, 1])), -1);
    expect(() => proposer.propose(sequence, 1, new Int32Array(1), 0)).toThrow(InvariantError);
    expect(() => new NgramProposer({ ...config, ngramMin: 0 })).toThrow(ConfigError);
    expect(() => new NgramProposer({ ...config, ngramMin: 4 })).toThrow(
      'speculation.ngramMax: 3 is not allowed; an integer in [4, 1024]',
    );
    expect(() => new NgramProposer({ ...config, modelLenMax: Number.NaN })).toThrow(ConfigError);
  });
});
