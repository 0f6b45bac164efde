import { describe, it } from 'vitest';
import { expectBalanceAfterCrashes } from './crash-rounds.ts';

describe('an engine that fails at any moment of any load', () => {
  it('leaves counters that balance and gauges of the next engine, 100 times', async () => {
    await expectBalanceAfterCrashes(100, 1);
  });
});
