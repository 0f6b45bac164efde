import { describe, expect, it } from 'vitest';
import { type SlowPhase, SlowPhaseWatch } from '../../src/observability/index.ts';

describe('SlowPhaseWatch', () => {
  it('tells of each phase over a millisecond, once in ten seconds, and how many it kept to itself', () => {
    let nowNs = 0;
    const told: SlowPhase[] = [];
    const watch = new SlowPhaseWatch(
      () => nowNs,
      (slow) => told.push(slow),
    );
    watch.hostPhase('build_batch', 1e6, 1);
    expect(told).toEqual([]);
    watch.hostPhase('build_batch', 1_000_001, 1);
    watch.hostPhase('admit_waiting', 5e6, 1);
    for (let i = 0; i < 7; i++) watch.hostPhase('build_batch', 2e6, 1);
    nowNs = 9.9e9;
    watch.hostPhase('build_batch', 2e6, 1);
    expect(told.map(({ phase, ns, untold }) => [phase, ns, untold])).toEqual([
      ['build_batch', 1_000_001, 0],
      ['admit_waiting', 5e6, 0],
    ]);
    nowNs = 10e9;
    watch.hostPhase('build_batch', 3e6, 1);
    expect(told.at(-1)).toMatchObject({ phase: 'build_batch', ns: 3e6, untold: 8 });
  });
});
