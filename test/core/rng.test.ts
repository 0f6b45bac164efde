import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CounterRng } from '../../src/core/index.ts';

const number = fc.nat({ max: 1_000_000 });
const place = fc.tuple(number, number, number);

describe('CounterRng', () => {
  it('draws the same number at a place, whatever was drawn before', () => {
    fc.assert(
      fc.property(number, place, fc.array(place), (seed, at, before) => {
        const busy = new CounterRng(seed);
        for (const other of before) busy.draw(...other);
        expect(busy.draw(...at)).toBe(new CounterRng(seed).draw(...at));
      }),
    );
  });

  it('draws another number for another seed, stream, request or position', () => {
    const draws = new Set<number>();
    for (let seed = 0; seed < 8; seed++) {
      const rng = new CounterRng(seed);
      for (let stream = 0; stream < 8; stream++)
        for (let request = 0; request < 8; request++)
          for (let position = 0; position < 8; position++) draws.add(rng.draw(stream, request, position));
    }
    // 4096 draws of 32 bits: 0.002 pairs that are equal by chance.
    expect(draws.size).toBe(8 ** 4);
  });

  it('draws from [0, 1), each sixteenth as often as the others within five deviations', () => {
    const rng = new CounterRng(7);
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) {
      const draw = rng.draw(1, i >> 6, i & 63);
      counts[Math.floor(draw * 16)]!++;
    }
    // Binomial(16000, 1/16): mean 1000, deviation sqrt(16000 / 16 * 15 / 16) = 30.6.
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(153);
    expect(counts).toHaveLength(16);
  });
});
