import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type KeyEntry, KeyRing } from '../../src/gateway/auth.ts';

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');
const entry = (name: string, key: string, admin = false): KeyEntry => ({
  name,
  sha256Hex: sha256(key),
  admin,
  limits: {},
});

const ring = new KeyRing([entry('a', 'key-a'), entry('b', 'key-b'), entry('boss', 'key-c', true)]);

describe('a ring of keys', () => {
  it.each([
    ['the first', 'Bearer key-a', undefined, 'a'],
    ['the last', 'Bearer key-c', undefined, 'boss'],
    ['a scheme in small letters', 'bearer key-b', undefined, 'b'],
    ['more spaces', 'Bearer   key-b  ', undefined, 'b'],
    ['the other header', undefined, 'key-b', 'b'],
    ['both: Authorization decides', 'Bearer key-a', 'key-b', 'a'],
  ])('finds a key by %s', (_what, authorization, xApiKey, name) => {
    expect(ring.authenticate(authorization, xApiKey)?.name).toBe(name);
  });

  it.each([
    ['no header', undefined, undefined],
    ['an unknown key', 'Bearer key-d', undefined],
    ['a prefix of a key', 'Bearer key-', undefined],
    ['a key and more', 'Bearer key-a2', undefined],
    ['another scheme', 'Basic key-a', undefined],
    ['no scheme', 'key-a', undefined],
    ['a scheme alone', 'Bearer ', undefined],
    ['two words', 'Bearer key-a key-b', undefined],
    ['the digest instead of the key', `Bearer ${sha256('key-a')}`, undefined],
    ['an empty other header', undefined, ''],
    ['a wrong Authorization beside a right other header', 'Bearer nope', 'key-a'],
  ])('refuses %s', (_what, authorization, xApiKey) => {
    expect(ring.authenticate(authorization, xApiKey)).toBeNull();
  });

  it('knows its admins, and that it is closed', () => {
    expect([ring.open, ring.hasAdmin]).toEqual([false, true]);
    expect(ring.authenticate('Bearer key-c')?.admin).toBe(true);
    expect(ring.authenticate('Bearer key-a')?.admin).toBe(false);
  });

  it('is open without keys, and closed with an admin key alone', () => {
    expect([new KeyRing([]).open, new KeyRing([]).hasAdmin]).toEqual([true, false]);
    expect(new KeyRing([entry('boss', 'k', true)]).open).toBe(false);
  });

  it('refuses an entry that could never match', () => {
    expect(() => new KeyRing([{ ...entry('a', 'k'), sha256Hex: 'abc' }])).toThrow(/key a: allowed: SHA-256/);
  });
});
