import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { DraftVerification, drawToken, verifyGreedy, verifySampled } from '../../src/core/rejection-sampler.ts';
import { CounterRng, RNG_STREAM } from '../../src/core/rng.ts';

/** Stream of the drafting model's own draws, apart from those of verification. */
const DRAFT_STREAM = 101;

function input(changes: Partial<DraftVerification>): DraftVerification {
  return Object.assign(new DraftVerification(), changes);
}

function rows(...values: readonly (readonly number[])[]): Float64Array {
  return Float64Array.from(values.flat());
}

/** Pearson's statistic of counts against probabilities; empty cells must stay empty. */
function chiSquare(counts: readonly number[], p: readonly number[]): number {
  const n = counts.reduce((a, b) => a + b, 0);
  let sum = 0;
  counts.forEach((count, i) => {
    const expected = n * p[i]!;
    if (expected === 0) expect(count, `token ${i} is impossible`).toBe(0);
    else sum += (count - expected) ** 2 / expected;
  });
  return sum;
}

// A draw from chi-square with 5 degrees of freedom lies above 20.5 once in a thousand, with 35 above 66.6.
const CHI_SQUARE_5_P999 = 20.5;
const CHI_SQUARE_35_P999 = 66.6;

const P0 = [0.3, 0.05, 0.25, 0.0, 0.3, 0.1];
const P1 = [0.05, 0.5, 0.05, 0.2, 0.0, 0.2];
const Q0 = [0.1, 0.4, 0.1, 0.1, 0.2, 0.1];
const Q1 = [0.25, 0.25, 0.0, 0.25, 0.125, 0.125];
const BONUS = [0.1, 0.1, 0.1, 0.2, 0.2, 0.3];

describe('what is emitted is distributed as the target', () => {
  it('after one draft of a model that disagrees', () => {
    const rng = new CounterRng(11);
    const first = new Array<number>(6).fill(0);
    const bonus = new Array<number>(6).fill(0);
    const into = new Int32Array(2);
    let accepted = 0;
    const runs = 60_000;
    for (let s = 0; s < runs; s++) {
      const draft = drawToken(rows(Q0), 0, 6, rng.draw(DRAFT_STREAM, s, 0));
      const row = input({
        vocabulary: 6,
        target: rows(P0, BONUS),
        drafts: Int32Array.of(draft),
        draftTokens: 1,
        proposal: rows(Q0),
        sequence: s,
      });
      const count = verifySampled(row, rng, into, 0);
      accepted += count;
      first[into[0]!]!++;
      if (count === 1) bonus[into[1]!]!++;
    }
    expect(chiSquare(first, P0)).toBeLessThan(CHI_SQUARE_5_P999);
    expect(chiSquare(bonus, BONUS)).toBeLessThan(CHI_SQUARE_5_P999);
    // Leviathan et al., theorem 3.5: the acceptance rate is the sum of min(p, q), 0.55 here; five standard errors.
    const expected = P0.reduce((sum, p, i) => sum + Math.min(p, Q0[i]!), 0);
    expect(Math.abs(accepted / runs - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / runs));
  });

  it('jointly over two positions, whether the second came from a draft or from the next step', () => {
    const rng = new CounterRng(12);
    const counts = new Array<number>(36).fill(0);
    const into = new Int32Array(3);
    for (let s = 0; s < 60_000; s++) {
      const drafts = Int32Array.of(
        drawToken(rows(Q0), 0, 6, rng.draw(DRAFT_STREAM, s, 0)),
        drawToken(rows(Q1), 0, 6, rng.draw(DRAFT_STREAM, s, 1)),
      );
      const row = input({
        vocabulary: 6,
        target: rows(P0, P1, BONUS),
        drafts,
        draftTokens: 2,
        proposal: rows(Q0, Q1),
        sequence: s,
      });
      if (verifySampled(row, rng, into, 0) === 0) {
        const next = input({ vocabulary: 6, target: rows(P1), sequence: s, position: 1 });
        expect(verifySampled(next, rng, into, 1)).toBe(0);
      }
      counts[6 * into[0]! + into[1]!]!++;
    }
    const joint = P0.flatMap((a) => P1.map((b) => a * b));
    // Cells of probability 0 leave fewer degrees of freedom than 35: the bound is then the more generous one.
    expect(chiSquare(counts, joint)).toBeLessThan(CHI_SQUARE_35_P999);
  });

  it('after a one-hot draft, likely or not', () => {
    for (const draft of [0, 1, 3]) {
      const rng = new CounterRng(13 + draft);
      const first = new Array<number>(6).fill(0);
      const into = new Int32Array(2);
      let accepted = 0;
      for (let s = 0; s < 40_000; s++) {
        const row = input({
          vocabulary: 6,
          target: rows(P0, BONUS),
          drafts: Int32Array.of(draft),
          draftTokens: 1,
          sequence: s,
        });
        accepted += verifySampled(row, rng, into, 0);
        first[into[0]!]!++;
      }
      expect(chiSquare(first, P0)).toBeLessThan(CHI_SQUARE_5_P999);
      expect(accepted).toBe(first[draft]);
    }
  });
});

describe('acceptance', () => {
  it('is certain where draft model and target agree', () => {
    const rng = new CounterRng(21);
    const into = new Int32Array(3);
    for (let s = 0; s < 3000; s++) {
      const drafts = Int32Array.of(
        drawToken(rows(P0), 0, 6, rng.draw(DRAFT_STREAM, s, 0)),
        drawToken(rows(P1), 0, 6, rng.draw(DRAFT_STREAM, s, 1)),
      );
      const row = input({
        vocabulary: 6,
        target: rows(P0, P1, BONUS),
        drafts,
        draftTokens: 2,
        proposal: rows(P0, P1),
        sequence: s,
      });
      expect(verifySampled(row, rng, into, 0)).toBe(2);
      expect(into.subarray(0, 2)).toEqual(drafts);
    }
  });

  it('is impossible where they do not overlap: the first draft is rejected, even by a draw of 0', () => {
    const row = input({
      vocabulary: 4,
      target: rows([0.5, 0.5, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]),
      drafts: Int32Array.of(2, 0),
      draftTokens: 2,
      proposal: rows([0, 0, 0.5, 0.5], [1, 0, 0, 0]),
    });
    const into = new Int32Array(3);
    for (const uniform of [0, 0.49, 0.51, 1 - 2 ** -32]) {
      expect(verifySampled(row, { draw: () => uniform }, into, 0)).toBe(0);
      expect(into[0]).toBe(uniform < 0.5 ? 0 : 1);
    }
  });

  it('never accepts a draft that a grammar struck out, or that its own model excludes', () => {
    const into = new Int32Array(2);
    const row = input({
      vocabulary: 2,
      target: rows([0, 1], [0.5, 0.5]),
      drafts: Int32Array.of(-1),
      draftTokens: 1,
      proposal: rows([0.5, 0.5]),
    });
    expect(verifySampled(row, new CounterRng(1), into, 0)).toBe(0);
    expect(into[0]).toBe(1);
    row.drafts = Int32Array.of(1);
    row.proposal = rows([1, 0]);
    expect(verifySampled(row, new CounterRng(1), into, 0)).toBe(0);
    expect(into[0]).toBe(1);
    row.drafts = Int32Array.of(-1);
    expect(verifyGreedy(row, into, 0)).toBe(0);
  });

  it('draws from the target when rounding leaves nothing of p - q', () => {
    const row = input({
      vocabulary: 2,
      target: rows([0.25, 0.5], [0.5, 0.5]),
      drafts: Int32Array.of(0),
      draftTokens: 1,
      proposal: rows([0.5, 0.5]),
    });
    const into = new Int32Array(2);
    const rng = { draw: (stream: number) => (stream === RNG_STREAM.acceptance ? 0.9 : 0.5) };
    expect(verifySampled(row, rng, into, 0)).toBe(0);
    expect(into[0]).toBe(1);
  });
});

/** A toy target model: probabilities of the next token from the last two tokens. */
function toyRow(text: readonly number[], vocabulary: number, target: Float64Array, at: number): void {
  const a = text.at(-1)!;
  const b = text.at(-2)!;
  let total = 0;
  for (let i = 0; i < vocabulary; i++) {
    const weight = ((a * 7 + b * 13 + i * 29) % 17) + (i === (a + b) % vocabulary ? 20 : 0) + 1;
    target[at + i] = weight;
    total += weight;
  }
  for (let i = 0; i < vocabulary; i++) target[at + i]! /= total;
}

/** Decodes `length` tokens; `draftsOf` proposes from the text. With no drafts this is plain decoding. */
function decode(
  prompt: readonly number[],
  length: number,
  draftsOf: (text: readonly number[]) => readonly number[],
  verify: (row: DraftVerification, into: Int32Array) => number,
): { text: number[]; steps: number } {
  const vocabulary = 8;
  const text = [...prompt];
  let steps = 0;
  while (text.length < prompt.length + length) {
    const drafts = draftsOf(text);
    const target = new Float64Array((drafts.length + 1) * vocabulary);
    for (let i = 0; i <= drafts.length; i++) {
      toyRow([...text, ...drafts.slice(0, i)], vocabulary, target, i * vocabulary);
    }
    const into = new Int32Array(drafts.length + 1);
    const row = input({
      vocabulary,
      target,
      drafts: Int32Array.from(drafts),
      draftTokens: drafts.length,
      sequence: 5,
      position: text.length,
    });
    const accepted = verify(row, into);
    text.push(...into.subarray(0, accepted + 1));
    steps++;
  }
  return { text: text.slice(0, prompt.length + length), steps };
}

describe('speculative decoding gives the tokens of plain decoding', () => {
  const prompts = fc.array(fc.nat(7), { minLength: 2, maxLength: 6 });
  // Guesses of every quality: a function of the text, so that a shrunk case replays.
  const guess = (quality: number, count: number) => (text: readonly number[]) => {
    const drafts: number[] = [];
    const row = new Float64Array(8);
    for (let i = 0; i < count; i++) {
      const seen = [...text, ...drafts];
      toyRow(seen, 8, row, 0);
      const best = row.indexOf(Math.max(...row));
      drafts.push((seen.length * 31) % 10 < quality ? best : (seen.length * 3) % 8);
    }
    return drafts;
  };

  it('greedily', () => {
    fc.assert(
      fc.property(prompts, fc.nat(10), fc.integer({ min: 1, max: 5 }), (prompt, quality, count) => {
        const plain = decode(
          prompt,
          40,
          () => [],
          (row, into) => verifyGreedy(row, into, 0),
        );
        const fast = decode(prompt, 40, guess(quality, count), (row, into) => verifyGreedy(row, into, 0));
        expect(fast.text).toEqual(plain.text);
        expect(fast.steps).toBeLessThanOrEqual(plain.steps);
        if (quality === 10) expect(fast.steps).toBe(Math.ceil(40 / (count + 1)));
      }),
    );
  });

  it('sampled from one seed, with one-hot drafts', () => {
    fc.assert(
      fc.property(prompts, fc.integer(), fc.nat(10), fc.integer({ min: 1, max: 5 }), (prompt, seed, quality, count) => {
        const rng = new CounterRng(seed);
        const plain = decode(
          prompt,
          40,
          () => [],
          (row, into) => verifySampled(row, rng, into, 0),
        );
        const fast = decode(prompt, 40, guess(quality, count), (row, into) => verifySampled(row, rng, into, 0));
        expect(fast.text).toEqual(plain.text);
        expect(fast.steps).toBeLessThanOrEqual(plain.steps);
      }),
    );
  });
});

describe('determinism', () => {
  it('gives every row the same tokens in any batch order, at any offset', () => {
    const probability = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 6, maxLength: 6 }).map((w) => {
      const total = w.reduce((a, b) => a + b, 0);
      return w.map((x) => x / total);
    });
    const row = fc.record({
      p: fc.array(probability, { minLength: 3, maxLength: 3 }),
      q: fc.option(fc.array(probability, { minLength: 2, maxLength: 2 })),
      drafts: fc.array(fc.nat(5), { minLength: 2, maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 8 }), fc.integer(), fc.nat(1000), (batch, seed, shift) => {
        const target = Float64Array.from(batch.flatMap((r) => r.p.flat()));
        const proposal = Float64Array.from(batch.flatMap((r) => (r.q ?? r.p.slice(0, 2)).flat()));
        const drafts = Int32Array.from(batch.flatMap((r) => r.drafts));
        const run = (order: readonly number[]) => {
          const rng = new CounterRng(seed);
          const into = new Int32Array(3 * batch.length).fill(-1);
          const shared = new DraftVerification();
          for (const i of order) {
            shared.vocabulary = 6;
            shared.target = target;
            shared.targetAt = i * 18;
            shared.drafts = drafts;
            shared.draftsAt = i * 2;
            shared.draftTokens = 2;
            shared.proposal = batch[i]!.q === null ? null : proposal;
            shared.proposalAt = i * 12;
            shared.sequence = i + shift;
            shared.position = 10 * i;
            verifySampled(shared, rng, into, 3 * i);
          }
          return into;
        };
        const order = batch.map((_, i) => i);
        expect(run(order.toReversed())).toEqual(run(order));
      }),
    );
  });

  it('takes the smallest id among equals', () => {
    const into = new Int32Array(1);
    verifyGreedy(input({ vocabulary: 4, target: Float32Array.of(-3, -1, -1, -2) }), into, 0);
    expect(into[0]).toBe(1);
  });
});

describe('drawToken', () => {
  it('never draws a token of probability 0, at either end of the draw', () => {
    const row = Float32Array.of(0, 0.1, 0, 0.2, 0);
    expect(drawToken(row, 0, 5, 0)).toBe(1);
    expect(drawToken(row, 0, 5, 1 - 2 ** -32)).toBe(3);
  });

  it('does not need a normalised row', () => {
    expect(drawToken(Float64Array.of(2, 6), 0, 2, 0.24)).toBe(0);
    // Stretches are half open: the boundary belongs to the next token.
    expect(drawToken(Float64Array.of(2, 6), 0, 2, 0.25)).toBe(1);
    expect(drawToken(Float64Array.of(2, 6), 0, 2, 0.26)).toBe(1);
  });

  it('refuses rows that hold nothing, and arrays that are too short', () => {
    expect(() => drawToken(Float64Array.of(0, 0), 0, 2, 0.5)).toThrow(InvariantError);
    const short = input({ vocabulary: 2, target: rows([1, 0]), drafts: Int32Array.of(1), draftTokens: 1 });
    expect(() => verifySampled(short, new CounterRng(1), new Int32Array(2), 0)).toThrow(InvariantError);
    const foreign = input({ vocabulary: 2, target: rows([1, 0], [1, 0]), drafts: Int32Array.of(2), draftTokens: 1 });
    expect(() => verifyGreedy(foreign, new Int32Array(2), 0)).toThrow(InvariantError);
  });
});
