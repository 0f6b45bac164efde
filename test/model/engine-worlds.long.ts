import { describe, expect, it } from 'vitest';
import { runWorlds } from '../support/engine-worlds.ts';

describe('engine, whole lives, fresh seeds', () => {
  it('makes progress in long lives', () => {
    const totals = runWorlds(2000);
    console.log(totals);
    expect(totals.preemptions).toBeGreaterThan(2000);
  });
});
