import { describe, expect, it } from 'vitest';
import { bodyFingerprint, retryMark } from '../../../src/gateway/limits/fingerprint.ts';

describe('the fingerprint of a request', () => {
  it('is the same for the same key and body, and a safe integer above 0', () => {
    const first = bodyFingerprint('a', { prompt: 'x', n: 1 });
    expect(bodyFingerprint('a', { prompt: 'x', n: 1 })).toBe(first);
    expect(Number.isSafeInteger(first) && first > 0).toBe(true);
  });

  it('differs by key, by body and by what the client calls the request', () => {
    const prints = [
      bodyFingerprint('a', { prompt: 'x' }),
      bodyFingerprint('b', { prompt: 'x' }),
      bodyFingerprint(null, { prompt: 'x' }),
      bodyFingerprint('a', { prompt: 'y' }),
      bodyFingerprint('a', { prompt: 'x' }, 'request-1'),
    ];
    expect(new Set(prints).size).toBe(prints.length);
  });
});

describe('what a client says of its retries', () => {
  it.each([
    [undefined, null],
    ['0', false],
    ['1', true],
    ['12', true],
    ['-1', null],
    ['', null],
    ['yes', null],
    ['1e9', null],
    [['1', '2'], null],
  ])('%j is %j', (header, mark) => {
    expect(retryMark(header)).toBe(mark);
  });
});
