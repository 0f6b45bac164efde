import { describe, expect, it } from 'vitest';
import { parseDurationNs, parseSizeBytes } from '../../src/config/units.ts';

describe('durations', () => {
  it.each([
    ['1ns', 1],
    ['50us', 50_000],
    ['200ms', 200_000_000],
    ['1.5s', 1_500_000_000],
    ['10 min', 600_000_000_000],
    ['24h', 86_400_000_000_000],
    ['0s', 0],
    ['3h10min', 11_400_000_000_000],
    ['0h05min', 300_000_000_000],
  ])('%s is %d ns', (text, ns) => {
    expect(parseDurationNs(text)).toBe(ns);
  });

  it.each(['10', '10 m', '-1s', '1e3s', 's', '', '1s 2ms', '105d', '1h60min', '1h30s', '1.5h10min', '1h 5min'])(
    '%j is none',
    (text) => {
      expect(parseDurationNs(text)).toBeNull();
    },
  );
});

describe('sizes', () => {
  it.each([
    ['4GiB', 4 * 2 ** 30],
    ['4GB', 4e9],
    ['0.5 MiB', 2 ** 19],
    ['16B', 16],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes);
  });

  it.each(['4', '4G', '-4GiB', '4gib', '100000000GiB'])('%j is none', (text) => {
    expect(parseSizeBytes(text)).toBeNull();
  });
});
