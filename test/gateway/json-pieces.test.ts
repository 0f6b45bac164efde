import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonPieces, LazyList, LazyText } from '../../src/gateway/answer/json-pieces.ts';
import { ByteTokenizer } from '../../src/tokenizer/index.ts';

const tokenizer = new ByteTokenizer();

/** A value of an answer, and the same with its lists and texts made lazily. */
const value: fc.Arbitrary<{ readonly plain: unknown; readonly lazy: unknown }> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc
      .oneof(fc.string({ unit: 'grapheme' }), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null))
      .map((leaf) => ({
        plain: leaf,
        lazy: leaf,
      })),
    fc.array(fc.oneof(fc.integer(), fc.constant(null)), { maxLength: 3000 }).map((items) => ({
      plain: items,
      lazy: new LazyList(items.length, () => (index) => items[index]),
    })),
    fc.string({ unit: 'grapheme', maxLength: 3000 }).map((text) => ({
      plain: `${text} and the rest`,
      lazy: new LazyText(tokenizer.encode(text), tokenizer, false, ' and the rest'),
    })),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => ({
      plain: items.map((item) => (item as { plain: unknown }).plain),
      lazy: items.map((item) => (item as { lazy: unknown }).lazy),
    })),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 5 }).map((members) => ({
      plain: { ...mapped(members, 'plain'), absent: undefined },
      lazy: { ...mapped(members, 'lazy'), absent: undefined },
    })),
  ),
})).value as fc.Arbitrary<{ plain: unknown; lazy: unknown }>;

function mapped(members: Record<string, unknown>, which: 'plain' | 'lazy'): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).map(([key, of]) => [key, (of as Record<string, unknown>)[which]]));
}

describe('answers in pieces', () => {
  it('are the JSON of the whole, whether they are written little by little or at once', () => {
    fc.assert(
      fc.property(value, ({ plain, lazy }) => {
        const whole = JSON.parse(JSON.stringify(plain)) as unknown;
        expect(JSON.parse([...jsonPieces(lazy)].join(''))).toEqual(whole);
        expect(JSON.parse(JSON.stringify(lazy))).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it('ask for each item once and in order, and for no more at a time than a piece holds', () => {
    const asked: number[] = [];
    const list = new LazyList(10_000, () => (index) => {
      asked.push(index);
      return 'x'.repeat(100);
    });
    const pieces = jsonPieces({ list });
    let before = 0;
    for (const _ of pieces) {
      expect(asked.length - before).toBeLessThanOrEqual(50);
      before = asked.length;
    }
    expect(asked).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
  });
});
