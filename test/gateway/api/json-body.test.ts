import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ApiError, type JsonLimits, jsonExcess, parseJsonBody } from '../../../src/gateway/api/index.ts';

const LIMITS: JsonLimits = { depthMax: 8, keysMax: 100, numbersMax: 1000 };

/** By recursion over the value: what the scan of the text must agree with. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const refusal = (body: string | Uint8Array): ApiError => {
  try {
    parseJsonBody(body, LIMITS);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

/** The same for keys and items. */
function countsOf(value: unknown): { keys: number; items: number } {
  if (typeof value !== 'object' || value === null) return { keys: 0, items: 0 };
  const children: unknown[] = Object.values(value);
  const isKey = (child: unknown) => !Array.isArray(value) || typeof child !== 'number';
  const counts = {
    keys: children.filter(isKey).length,
    items: Array.isArray(value) ? Math.max(0, value.length - 1) : 0,
  };
  for (const child of children.map(countsOf)) {
    counts.keys += child.keys;
    counts.items += child.items;
  }
  return counts;
}

describe('the scan of JSON text', () => {
  it('agrees with the value on depth, keys and list items', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const depth = depthOf(value);
        const { keys, items } = countsOf(value);
        const text = JSON.stringify(value);
        const exact = { depthMax: depth, keysMax: keys, numbersMax: items };
        expect(jsonExcess(text, exact)).toBeNull();
        if (depth > 0) expect(jsonExcess(text, { ...exact, depthMax: depth - 1 })?.of).toBe('depth');
        if (keys > 0) expect(jsonExcess(text, { ...exact, keysMax: keys - 1 })?.of).toBe('keys');
        if (items > 0) expect(jsonExcess(text, { ...exact, numbersMax: items - 1 })?.of).toBe('numbers');
      }),
    );
  });

  it('ends at the limit, however deep or long the text is', () => {
    expect(jsonExcess('['.repeat(1_000_000), LIMITS)?.of).toBe('depth');
    expect(jsonExcess(`{"stop" : [${'"",'.repeat(1000)}`, LIMITS)).toEqual({ of: 'keys', field: 'stop' });
    expect(jsonExcess(`{"prompt":["a"],"tokens":[${'1,'.repeat(2000)}`, LIMITS)).toEqual({
      of: 'numbers',
      field: 'tokens',
    });
  });

  it('does not count what is in strings', () => {
    const exact = { depthMax: 2, keysMax: 2, numbersMax: 0 };
    expect(jsonExcess('{"a":"[[[[\\"[[,,,::\\\\","b":[1]}', exact)).toBeNull();
  });

  it('repeats no name of a field that is not a plain one', () => {
    expect(jsonExcess(`{"my secret":[${'"",'.repeat(1000)}`, LIMITS)).toEqual({ of: 'keys', field: null });
  });
});

describe('a body', () => {
  it('is parsed from bytes and from text', () => {
    expect(parseJsonBody(Buffer.from('{"a":[1,"é"]}'), LIMITS)).toEqual({ a: [1, 'é'] });
    expect(parseJsonBody('{"a":1e400}', LIMITS)).toEqual({ a: Number.POSITIVE_INFINITY });
  });

  it.each([
    ['nothing', '', /empty/],
    ['blanks', ' \n', /empty/],
    ['half an object', '{"a":', /no JSON/],
    ['NaN', '{"a":NaN}', /no JSON/],
    ['two values', '{} {}', /no JSON/],
    ['single quotes', "{'a':1}", /no JSON/],
    ['too deep', `${'['.repeat(9)}${']'.repeat(9)}`, /deeper than 8 levels/],
    ['a prototype', '{"a":{"__proto__":{"b":1}}}', /__proto__/],
    ['an escaped prototype key', '{"a":"__proto__","\\u005f_proto__":1}', /__proto__/],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /UTF-8/],
    ['an overlong encoding', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), /UTF-8/],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), /UTF-8/],
  ])('of %s is refused', (_name, body, message) => {
    const error = refusal(body);
    expect([error.status, error.code, error.param]).toEqual([400, 'invalid_json', null]);
    expect(error.message).toMatch(message);
  });

  it('is never quoted in an error', () => {
    for (const body of ['{"prompt": "my secret" nonsense}', 'my secret', '["my secret"', '{"a":"my secret']) {
      expect(refusal(body).message).not.toContain('secret');
    }
  });

  it.each([
    ['9223372036854775807', 2 ** 63 - 1024],
    ['9223372036854775296', 2 ** 63 - 1024],
    ['9223372036854775808', 2 ** 63],
    ['9223372036854774784', 2 ** 63 - 1024],
  ])('with the seed %s keeps it on its side of 2^63', (digits, seed) => {
    expect(parseJsonBody(`{"prompt":"\\"seed\\": 5", "seed": ${digits}}`, LIMITS)).toMatchObject({ seed });
  });
});
