import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ApiError, jsonDepth, parseJsonBody } from '../../../src/gateway/api/index.ts';

/** By recursion over the value: what the scan of the text must agree with. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const refusal = (body: string | Uint8Array): ApiError => {
  try {
    parseJsonBody(body, 8);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('depth of JSON text', () => {
  it('is that of the value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        expect(jsonDepth(JSON.stringify(value), 1000)).toBe(depthOf(value));
      }),
    );
  });

  it('stops counting past the limit, however deep the text is', () => {
    expect(jsonDepth('['.repeat(1_000_000), 10)).toBe(11);
  });

  it('does not count brackets in strings', () => {
    expect(jsonDepth('{"a":"[[[[\\"[[\\\\","b":[1]}', 100)).toBe(2);
  });
});

describe('a body', () => {
  it('is parsed from bytes and from text', () => {
    expect(parseJsonBody(Buffer.from('{"a":[1,"é"]}'), 8)).toEqual({ a: [1, 'é'] });
    expect(parseJsonBody('{"a":1e400}', 8)).toEqual({ a: Number.POSITIVE_INFINITY });
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
    expect(parseJsonBody(`{"prompt":"\\"seed\\": 5", "seed": ${digits}}`, 8)).toMatchObject({ seed });
  });
});
