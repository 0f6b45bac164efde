import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArrayTokens, emptyBlockKey, StreamTokens } from '../../src/core/token-source.ts';

const segment = fc.tuple(fc.nat(3), fc.nat(12), fc.integer({ min: 1, max: 9 }));
const source = fc
  .record({
    head: fc.array(segment, { maxLength: 5 }),
    stream: fc.nat(3),
    offset: fc.nat(12),
    length: fc.integer({ min: 1, max: 60 }),
  })
  .map(
    ({ head, stream, offset, length }) =>
      new StreamTokens(length, stream, offset, head.length === 0 ? null : Int32Array.from(head.flat())),
  );

function materialised(tokens: StreamTokens, count: number): Int32Array {
  const all = new Int32Array(count);
  // One at a time, from the end: no help from a cursor that goes forwards.
  for (let i = count - 1; i >= 0; i--) tokens.copy(i, 1, all, i);
  return all;
}

describe('StreamTokens', () => {
  it('copies what it would hold if it were an array', () => {
    fc.assert(
      fc.property(
        source,
        fc.array(fc.tuple(fc.nat(70), fc.nat(30)), { minLength: 1, maxLength: 8 }),
        (tokens, ranges) => {
          const array = new ArrayTokens(materialised(tokens, 100));
          for (const [from, count] of ranges) {
            const [own, expected] = [new Int32Array(count + 2).fill(-1), new Int32Array(count + 2).fill(-1)];
            tokens.copy(from, count, own, 1);
            array.copy(from, count, expected, 1);
            expect([...own]).toEqual([...expected]);
          }
        },
      ),
    );
  });

  it('gives equal exact keys only to equal blocks, and one key to a block however it is asked', () => {
    fc.assert(
      fc.property(source, source, fc.integer({ min: 1, max: 6 }), (a, b, blockSize) => {
        const seen = new Map<string, string>();
        for (const tokens of [a, b]) {
          const text = materialised(tokens, 12 * blockSize);
          const forwards = Array.from({ length: 12 }, (_, i) => keyText(tokens, i, blockSize));
          for (let i = 11; i >= 0; i--) expect(keyText(tokens, i, blockSize)).toBe(forwards[i]);
          forwards.forEach((key, i) => {
            const block = text.slice(i * blockSize, (i + 1) * blockSize).join(' ');
            if (!key.startsWith('exact')) return;
            expect(seen.get(key) ?? block, `blocks with key ${key}`).toBe(block);
            seen.set(key, block);
          });
        }
      }),
    );
  });

  it('hashes a block across a seam as the array does', () => {
    const tokens = new StreamTokens(20, 1, 0, Int32Array.from([2, 0, 3, 3, 0, 3]));
    const array = new ArrayTokens(materialised(tokens, 20));
    expect(keyText(tokens, 0, 4)).toBe(keyText(array, 0, 4));
    expect(keyText(tokens, 2, 4)).toBe('exact 1 2');
  });
});

describe('ArrayTokens', () => {
  it('gives equal blocks equal keys, for any block size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(2), { minLength: 12, maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        (text, first, second) => {
          const tokens = new ArrayTokens(Int32Array.from(text));
          for (const size of [first, second, first]) {
            const keys = new Map<string, string>();
            for (let i = 0; (i + 1) * size <= text.length; i++) {
              const block = text.slice(i * size, (i + 1) * size).join(' ');
              const key = keyText(tokens, i, size);
              expect(keys.get(block) ?? key).toBe(key);
              keys.set(block, key);
            }
            expect(new Set(keys.values()).size, 'no two of these few blocks have one hash').toBe(keys.size);
          }
        },
      ),
    );
  });
});

function keyText(tokens: StreamTokens | ArrayTokens, index: number, blockSize: number): string {
  const key = emptyBlockKey();
  tokens.blockKey(index, blockSize, key);
  return `${key.exact ? 'exact' : 'hash'} ${key.lane0} ${key.lane1}`;
}
