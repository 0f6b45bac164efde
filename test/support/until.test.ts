import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { eventually, until } from './until.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe('a wait', () => {
  it('lasts until the answer is accepted, however long that takes', async () => {
    const said = vi.spyOn(console, 'warn').mockImplementation(() => {});
    let asked = 0;
    const wait = until(
      () => ++asked,
      (count) => count === 100_000,
    );
    await vi.advanceTimersByTimeAsync(3 * 3_600_000);
    expect(await wait).toBe(100_000);
    // Once a minute of the almost three hours.
    expect(said.mock.calls.length).toBeGreaterThan(100);
    expect(said.mock.calls[0]![0]).toMatch(/^still waiting after 60 s: \d+$/);
  });

  it('for expectations says the one that is not met', async () => {
    const said = vi.spyOn(console, 'warn').mockImplementation(() => {});
    let value = 1;
    const wait = eventually(() => {
      expect(value).toBe(2);
      return value;
    });
    await vi.advanceTimersByTimeAsync(61_000);
    expect(said.mock.calls[0]![0]).toContain('expected 1 to be 2');
    value = 2;
    await vi.advanceTimersByTimeAsync(1000);
    expect(await wait).toBe(2);
  });

  it('ends with what the question throws', async () => {
    const broken = () => Promise.reject(new Error('refused'));
    await expect(until(broken, () => true)).rejects.toThrow('refused');
  });
});
