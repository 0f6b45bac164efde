import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OvercommitRatio } from '../../src/core/overcommit.ts';

describe('OvercommitRatio', () => {
  it('is the same after k steps at once as after k single steps, wherever preemptions fall', () => {
    const event = fc.oneof(
      fc.integer({ min: 1, max: 900 }),
      fc.record({ decoded: fc.nat(500), more: fc.nat(500), sequences: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), (events) => {
        const [together, single] = [new OvercommitRatio(), new OvercommitRatio()];
        for (const entry of events) {
          if (typeof entry === 'number') {
            together.stepsDone(entry);
            for (let i = 0; i < entry; i++) single.stepsDone(1);
          } else {
            for (const ratio of [together, single])
              ratio.preempted(entry.decoded, entry.decoded + entry.more, entry.sequences);
          }
          expect(together.ratio).toBe(single.ratio);
          expect(together.ratio).toBeGreaterThanOrEqual(0.098);
          expect(together.ratio).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it('begins at 0.7 and decays to 14 % of that in 600 steps', () => {
    const ratio = new OvercommitRatio();
    expect(ratio.ratio).toBe(0.7);
    ratio.stepsDone(599);
    expect(ratio.ratio).toBeGreaterThan(0.098);
    ratio.stepsDone(2);
    expect(ratio.ratio).toBe(0.098);
  });

  it('jumps to what running sequences really produced, never down', () => {
    const ratio = new OvercommitRatio();
    ratio.preempted(10, 999, 2);
    expect(ratio.ratio).toBe(0.7);
    ratio.preempted(880, 999, 2);
    expect(ratio.ratio).toBe(0.92);
    ratio.preempted(999, 999, 50);
    expect(ratio.ratio).toBe(1);
    expect(ratio.share(7)).toBe(7);
  });
});
