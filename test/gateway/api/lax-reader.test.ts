import fc from 'fast-check';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { ApiError } from '../../../src/gateway/api/index.ts';
import { allowedWords, laxBoolean, laxInteger, laxNumber, readLax } from '../../../src/gateway/api/lax-reader.ts';

/** What pydantic 2.13 makes of a value as int, float (finite) and bool: `TypeAdapter(...).validate_python`; null = refused. */
const PYDANTIC: readonly (readonly [
  value: unknown,
  integer: number | null,
  number: number | null,
  boolean: boolean | null,
])[] = [
  [5, 5, 5.0, null],
  [-5, -5, -5.0, null],
  [1.5, null, 1.5, null],
  [2.0, 2, 2.0, null],
  [true, 1, 1.0, true],
  [false, 0, 0.0, false],
  ['5', 5, 5.0, null],
  [' 5 ', 5, 5.0, null],
  ['+5', 5, 5.0, null],
  ['-5', -5, -5.0, null],
  ['5.0', 5, 5.0, null],
  ['5.', null, 5.0, null],
  ['5.5', null, 5.5, null],
  ['1e3', null, 1000.0, null],
  ['1_000', 1000, 1000.0, null],
  ['1__0', null, null, null],
  ['_1', null, null, null],
  ['1_', null, null, null],
  ['007', 7, 7.0, null],
  ['', null, null, null],
  ['.0', null, 0.0, null],
  ['5.00', 5, 5.0, null],
  ['0x10', null, null, null],
  ['\t7\n', 7, 7.0, null],
  ['\u096b', null, null, null],
  [[], null, null, null],
  [{}, null, null, null],
  ['1e400', null, null, null],
  ['inf', null, null, null],
  ['nan', null, null, null],
  ['Infinity', null, null, null],
  ['.5', null, 0.5, null],
  ['5.e1', null, 50.0, null],
  [' 1.5 ', null, 1.5, null],
  ['1,5', null, null, null],
  ['true', null, null, true],
  ['True', null, null, true],
  ['TRUE', null, null, true],
  ['yes', null, null, true],
  ['no', null, null, false],
  ['on', null, null, true],
  ['off', null, null, false],
  ['y', null, null, true],
  ['n', null, null, false],
  ['t', null, null, true],
  ['f', null, null, false],
  ['1', 1, 1.0, true],
  ['0', 0, 0.0, false],
  [' true', null, null, null],
  ['2', 2, 2.0, null],
  ['tRuE', null, null, true],
  ['False', null, null, false],
  ['N', null, null, false],
  [1, 1, 1.0, true],
  [0, 0, 0.0, false],
  [2, 2, 2.0, null],
  [0.5, null, 0.5, null],
  [-1, -1, -1.0, null],
  ['+1.5', null, 1.5, null],
  ['++1', null, null, null],
  ['1_0.5', null, 10.5, null],
  ['1e', null, null, null],
  ['e1', null, null, null],
  ['- 5', null, null, null],
  ['1 000', null, null, null],
];

const thrown = (act: () => unknown): ApiError => {
  try {
    act();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('lax conversions', () => {
  it.each(PYDANTIC)(
    '%j is the integer %j, the number %j and the boolean %j, as in pydantic',
    (value, integer, number, boolean) => {
      expect(laxInteger(value)).toBe(integer);
      expect(laxNumber(value)).toBe(number);
      expect(laxBoolean(value)).toBe(boolean);
    },
  );

  it('take every number for itself', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
        expect(laxNumber(number)).toBe(number);
        expect(laxNumber(String(number))).toBeCloseTo(number, 10);
        expect(laxInteger(number) === null).toBe(!Number.isInteger(number));
      }),
    );
  });
});

describe('reading by a schema', () => {
  const schema = Type.Object({
    count: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 8 }), Type.Null()])),
    words: Type.Optional(Type.Array(Type.String())),
    secret: Type.Optional(Type.String({ 'x-private': true })),
    either: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String()), Type.Null()])),
    table: Type.Optional(Type.Record(Type.String(), Type.Number())),
    needed: Type.Boolean(),
  });

  it('converts, and leaves out what is not in the schema', () => {
    const read = readLax(schema, { count: '3', words: ['a'], needed: 'yes', either: ['b'], more: 1 }, 'o');
    expect(read).toEqual({ count: 3, words: ['a'], needed: true, either: ['b'] });
  });

  it.each([
    [{ needed: true, count: 9 }, 'o.count', 'o.count: got 9; allowed: an integer in [1, 8]'],
    [{ needed: true, count: 1.5 }, 'o.count', 'o.count: got 1.5; allowed: an integer in [1, 8]'],
    [{ needed: true, words: ['a', 5] }, 'o.words.1', 'o.words.1: got 5; allowed: a string'],
    [{ needed: true, words: 'a' }, 'o.words', 'o.words: got "a"; allowed: a list of (a string)'],
    [{ needed: true, either: 5 }, 'o.either', 'o.either: got 5; allowed: a string or a list of (a string) or null'],
    [{ needed: true, table: { a: 'x' } }, 'o.table.a', 'o.table.a: got "x"; allowed: a finite number'],
    [{ needed: true, table: [] }, 'o.table', 'o.table: got a list of 0; allowed: an object'],
    [{ needed: 2 }, 'o.needed', 'o.needed: got 2; allowed: true or false'],
    [{}, 'o.needed', 'o.needed: missing; allowed: true or false'],
    [[], 'o', 'o: got a list of 0; allowed: an object'],
  ])('%j is refused at %s', (value, param, message) => {
    const error = thrown(() => readLax(schema, value, 'o'));
    expect([error.status, error.param, error.message]).toEqual([400, param, message]);
  });

  it('never says what a private value is', () => {
    const error = thrown(() => readLax(schema, { needed: true, secret: ['hunter2'] }, 'o'));
    expect(error.message).toBe('o.secret: got a list of 1; allowed: a string');
    expect(thrown(() => readLax(schema, { needed: true, secret: 31337 }, 'o')).message).not.toContain('31337');
  });

  it('cuts what it shows and keeps it printable', () => {
    const message = thrown(() => readLax(schema, { needed: `\u0000\u202e${'x'.repeat(5000)}` }, 'o')).message;
    expect(message.length).toBeLessThan(140);
    expect(message).toMatch(/^[\x20-\x7e]*$/);
  });

  it('keeps a __proto__ key an own property', () => {
    const { table } = readLax(schema, { needed: true, table: JSON.parse('{"__proto__": 5}') }, 'o');
    expect(Object.keys(table!)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(table)).toBe(Object.prototype);
  });

  it('refuses half a surrogate pair, wherever a string stands', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0xd800, max: 0xdfff }), (text, half) => {
        expect(readLax(Type.String(), text, 's')).toBe(text);
        const broken = `a${String.fromCharCode(half)}b`;
        expect(thrown(() => readLax(Type.Array(Type.String()), [text, broken], 's')).param).toBe('s.1');
      }),
    );
  });

  it('says what is allowed in words', () => {
    expect(allowedWords(Type.Integer({ minimum: 0 }))).toBe('an integer of at least 0');
    expect(allowedWords(Type.Union([Type.Literal('a'), Type.Null()]))).toBe('"a" or null');
  });
});
