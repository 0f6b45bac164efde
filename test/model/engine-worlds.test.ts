import { describe, expect, it } from 'vitest';
import { runWorlds } from '../support/engine-worlds.ts';

describe('engine, whole lives', () => {
  it('makes progress, leaves out nothing that can run, and bounds overtaking', () => {
    const totals = runWorlds(200, 20_260_102);
    expect(totals.preemptions).toBeGreaterThan(500);
    expect(totals.atBound, 'worlds in which the bound is reached').toBeGreaterThan(3);
  });
});
