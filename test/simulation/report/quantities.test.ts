import { describe, expect, it } from 'vitest';
import { countText, durationText, numberText, percentText } from '../../../src/simulation/report/quantities.ts';

describe('quantities', () => {
  it.each<[number | null, string]>([
    [null, '-'],
    [0, '0 s'],
    [3e-9, '3.00 ns'],
    [12.34e-6, '12.3 µs'],
    [0.0456, '45.6 ms'],
    [0.999, '999 ms'],
    [1, '1.00 s'],
    [59.94, '59.9 s'],
    [3600, '1 h 00 min'],
    [7500, '2 h 05 min'],
    [900, '900 s'],
    [1200, '20 min'],
  ])('durationText(%s) = %s', (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });

  it('groups counts, and writes three digits of other numbers', () => {
    expect(countText(1234567)).toBe('1,234,567');
    expect(countText(999)).toBe('999');
    expect(numberText(0.1234)).toBe('0.123');
    expect(numberText(12.345)).toBe('12.3');
    expect(numberText(12345.6)).toBe('12,346');
    expect(percentText(0.1234)).toBe('12.3 %');
    expect(percentText(null)).toBe('-');
  });
});
