import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LengthSpec, lengthMax, lengthSource, parseLengthCsv } from '../../src/simulation/lengths.ts';
import { uniformSource } from '../../src/simulation/random.ts';

const DATA = process.env['TWINFER_DATA'];

function draw(spec: LengthSpec, count = 100_000, seed = 5): number[] {
  const next = lengthSource(spec, uniformSource(seed, 'test'));
  return Array.from({ length: count }, next);
}

function quantile(values: readonly number[], q: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(q * values.length)]!;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const range = fc
  .tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 5000 }))
  .map(([tokensMin, width]) => ({ tokensMin, tokensMax: tokensMin + width }));
const positive = fc.double({ min: 0.1, max: 1e5, noNaN: true });
const anySpec: fc.Arbitrary<LengthSpec> = fc.oneof(
  fc.integer({ min: 1, max: 1e6 }).map((tokens) => ({ kind: 'fixed' as const, tokens })),
  range.map((limits) => ({ kind: 'uniform' as const, ...limits })),
  fc.tuple(range, positive, positive).map(([limits, mean, std]) => ({ kind: 'normal' as const, mean, std, ...limits })),
  fc.tuple(range, positive, positive).map(([limits, p50, more]) => ({
    kind: 'lognormal' as const,
    p50,
    p99: p50 + more,
    ...limits,
  })),
  fc
    .array(fc.tuple(fc.integer({ min: 0, max: 1e5 }), fc.double({ min: 0.01, max: 9, noNaN: true })), { minLength: 1 })
    .map((rows) => ({
      kind: 'empirical' as const,
      tokens: rows.map(([tokens]) => tokens),
      weights: rows.map(([, weight]) => weight),
    })),
);

describe('lengths', () => {
  it('are integers of at least 1 and at most lengthMax, and repeat from the seed', () => {
    fc.assert(
      fc.property(anySpec, fc.integer(), (spec, seed) => {
        const lengths = draw(spec, 50, seed);
        for (const length of lengths) {
          expect(Number.isSafeInteger(length)).toBe(true);
          expect(length).toBeGreaterThanOrEqual('tokensMin' in spec ? spec.tokensMin : 1);
          expect(length).toBeLessThanOrEqual(lengthMax(spec));
        }
        expect(draw(spec, 50, seed)).toEqual(lengths);
      }),
      { numRuns: 300 },
    );
  });

  it('uniform: every integer of the range, both ends included', () => {
    const counts = new Map<number, number>();
    for (const length of draw({ kind: 'uniform', tokensMin: 3, tokensMax: 7 })) {
      counts.set(length, (counts.get(length) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([3, 4, 5, 6, 7]);
    for (const count of counts.values()) expect(Math.abs(count / 20_000 - 1)).toBeLessThan(0.05);
  });

  it('lognormal: by percentiles and by parameters', () => {
    const limits = { tokensMin: 1, tokensMax: 1_000_000 };
    const lengths = draw({ kind: 'lognormal', p50: 200, p99: 4000, ...limits });
    expect(Math.abs(quantile(lengths, 0.5) / 200 - 1)).toBeLessThan(0.03);
    expect(Math.abs(quantile(lengths, 0.99) / 4000 - 1)).toBeLessThan(0.06);
    const others = draw({ kind: 'lognormal', mu: Math.log(500), sigma: 0.4, ...limits });
    expect(Math.abs(mean(others) / (500 * Math.exp(0.08)) - 1)).toBeLessThan(0.01);
  });

  it('normal: mean, deviation and cut', () => {
    const lengths = draw({ kind: 'normal', mean: 466, std: 50, tokensMin: 1, tokensMax: 10_000 });
    expect(Math.abs(mean(lengths) - 466)).toBeLessThan(1);
    expect(Math.abs(mean(lengths.map((length) => (length - 466) ** 2)) / 2500 - 1)).toBeLessThan(0.02);
    const cut = draw({ kind: 'normal', mean: 466, std: 50, tokensMin: 466, tokensMax: 480 }, 1000);
    expect(Math.min(...cut)).toBe(466);
    expect(Math.max(...cut)).toBe(480);
  });

  it('empirical: by weight; a weight of 0 is never drawn, 0 tokens become 1', () => {
    const lengths = draw({ kind: 'empirical', tokens: [0, 10, 20, 30], weights: [1, 0, 2, 5] }, 80_000);
    const share = (tokens: number): number => lengths.filter((length) => length === tokens).length / 80_000;
    expect(share(10)).toBe(0);
    expect(Math.abs(share(1) - 1 / 8)).toBeLessThan(0.005);
    expect(Math.abs(share(20) - 2 / 8)).toBeLessThan(0.005);
    expect(Math.abs(share(30) - 5 / 8)).toBeLessThan(0.005);
  });

  it.each([
    [{ kind: 'fixed', tokens: 0 }, 'length.tokens: 0'],
    [{ kind: 'uniform', tokensMin: 5, tokensMax: 4 }, 'length.tokensMax: 4 is not allowed; an integer of at least 5'],
    [{ kind: 'lognormal', p50: 9, p99: 8, tokensMin: 1, tokensMax: 9 }, 'length.p99: 8'],
    [{ kind: 'lognormal', mu: Number.NaN, sigma: 1, tokensMin: 1, tokensMax: 9 }, 'length.mu: NaN'],
    [{ kind: 'empirical', tokens: [1, 2], weights: [1] }, 'length.weights.length: 1'],
    [{ kind: 'empirical', tokens: [1], weights: [0] }, 'length.weights: 0'],
  ] as [LengthSpec, string][])('%j is refused', (spec, message) => {
    expect(() => lengthSource(spec, uniformSource(1, 'test'))).toThrow(message);
  });
});

describe('length distributions as CSV', () => {
  it('with or without header, any line end', () => {
    const expected = { kind: 'empirical', tokens: [4, 5], weights: [0.25, 7.1e-7] };
    for (const text of [
      'input_tokens,probability\n4,0.25\n5,7.1e-07\n',
      '4,0.25\r\n5,7.1e-07',
      '\uFEFF4,.25\n\n5,7.1e-7\n',
    ]) {
      expect(parseLengthCsv(text, 'x.csv')).toEqual(expected);
    }
  });

  it.each([
    ['4,0.5\nx,0.5\n', 'x.csv:2:1: "x,0.5" is not allowed; a line is "tokens,weight" with an integer first'],
    ['4,0.5\n5\n', 'x.csv:2:1: "5"'],
    ['4,0.5\n5,1,2\n', 'x.csv:2:1: "5,1,2"'],
    ['4,0.5\n55,-1\n', 'x.csv:2:4: "-1" is not allowed; a weight is a number of at least 0'],
    ['4,0.5\n5,\n', 'x.csv:2:3: ""'],
    ['tokens,weight\n', 'x.csv.tokens.length: 0'],
  ])('%j is refused', (text, message) => {
    expect(() => parseLengthCsv(text, 'x.csv')).toThrow(message);
  });
});

describe.skipIf(DATA === undefined)(
  `ServeGen distributions${DATA === undefined ? ' (skipped: TWINFER_DATA does not name the folder of public data)' : ''}`,
  () => {
    it('are drawn with their published mean and median', () => {
      const path = join(DATA!, 'traces/servegen/reason_deepseek-r1_output_tokens_pdf.csv');
      const lengths = draw(parseLengthCsv(readFileSync(path, 'utf8'), path), 200_000);
      expect(Math.abs(mean(lengths) / 1502.4 - 1)).toBeLessThan(0.02);
      expect(Math.abs(quantile(lengths, 0.5) / 730 - 1)).toBeLessThan(0.05);
    });
  },
);
