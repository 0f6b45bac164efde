import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SaltTable } from '../../../src/gateway/limits/salts.ts';

describe('numbers of cache salts', () => {
  it('are 0 only without key and salt', () => {
    const table = new SaltTable();
    expect(table.intern(null, null)).toBe(0);
    expect(table.intern('a', null)).toBeGreaterThan(0);
    expect(table.intern(null, '')).toBeGreaterThan(0);
    expect(table.intern(null, 'x')).toBeGreaterThan(0);
  });

  it('are equal exactly for equal contents', () => {
    const text = fc.option(fc.string({ maxLength: 8 }), { nil: null });
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { maxLength: 50 }), (pairs) => {
        const table = new SaltTable();
        const numbers = pairs.map(([key, salt]) => table.intern(key, salt));
        for (let i = 0; i < pairs.length; i++) {
          for (let j = 0; j < i; j++) {
            const same = pairs[i]![0] === pairs[j]![0] && pairs[i]![1] === pairs[j]![1];
            expect(numbers[i] === numbers[j]).toBe(same);
          }
        }
      }),
    );
  });

  it('keep tenants apart whatever they put into a salt', () => {
    const table = new SaltTable();
    const victim = table.intern('b', 'c');
    const tries = [
      table.intern('b","c', null),
      table.intern(null, 'b:c'),
      table.intern('a', 'b","c'),
      table.intern('bc', ''),
    ];
    expect(tries).not.toContain(victim);
  });

  it('are bounded; the longest unused is forgotten and never gets an old number again', () => {
    const table = new SaltTable(1, 3, 1);
    const first = table.intern('t', '1');
    const second = table.intern('t', '2');
    table.intern('t', '3');
    expect(table.intern('t', '1')).toBe(first);
    table.intern('t', '4');
    expect(table.size).toBe(3);
    expect(table.intern('t', '1')).toBe(first);
    const again = table.intern('t', '2');
    expect(again).toBeGreaterThan(second);
    expect([first, second]).not.toContain(again);
  });

  it('use little memory for long salts', () => {
    const table = new SaltTable(1, 10, 1);
    for (let i = 0; i < 100; i++) table.intern('t', `${i}${'x'.repeat(10_000)}`);
    expect(table.size).toBe(10);
  });

  it('stay while the key itself asks for no more than its share, whatever other keys do', () => {
    const share = 4;
    const keys = 3;
    const own = fc.constantFrom('1', '2', '3', null);
    const step = fc.oneof(
      fc.record({ key: fc.constant('b'), salt: own }),
      fc.record({ key: fc.constantFrom('a', 'c'), salt: fc.option(fc.string({ maxLength: 3 }), { nil: null }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new SaltTable(keys, keys * share, 1);
        const first = new Map<string | null, number>();
        for (const { key, salt } of steps) {
          const number = table.intern(key, salt);
          if (key !== 'b') continue;
          if (!first.has(salt)) first.set(salt, number);
          expect(number).toBe(first.get(salt));
        }
        expect(table.size).toBeLessThanOrEqual(keys * share);
      }),
    );
  });
});
