import { describe, expect, it } from 'vitest';
import { bundledHostProfile } from '../../src/runtime/host-profile-file.ts';
import { Frontend } from '../../src/simulation/frontend.ts';

const HOST = { ...bundledHostProfile(), firstTokenNsPerSequence: 1000 };

function delays(share: number, seed: number): number[] {
  const frontend = new Frontend({ ...HOST, slowFirstTokens: { share, nsMax: 50_000_000 } }, seed);
  return Array.from({ length: 10_000 }, () => frontend.firstTokenNs(3) - 3000);
}

describe('Frontend', () => {
  it('holds up a share of the first tokens, evenly up to the most', () => {
    const slow = delays(0.02, 1).filter((ns) => ns > 0);
    // Binomial: 200 of 10,000, standard deviation 14.
    expect(slow.length).toBeGreaterThan(130);
    expect(slow.length).toBeLessThan(270);
    expect(Math.max(...slow)).toBeLessThanOrEqual(50_000_000);
    expect(Math.max(...slow)).toBeGreaterThan(45_000_000);
    expect(slow.reduce((a, b) => a + b, 0) / slow.length / 1e6).toBeCloseTo(25, -1);
  });

  it('holds up none where the share is 0, and the same ones for the same seed', () => {
    expect(delays(0, 1).every((ns) => ns === 0)).toBe(true);
    expect(delays(0.02, 5)).toEqual(delays(0.02, 5));
    expect(delays(0.02, 5)).not.toEqual(delays(0.02, 6));
  });
});
