import { describe, expect, it } from 'vitest';
import { ModelledHostTimer, TWINFER_HOST_COSTS } from '../../../src/backends/simulated/index.ts';

describe('ModelledHostTimer', () => {
  it('is the fixed cost of the phase and its cost per unit of work, in whole nanoseconds', () => {
    const timer = new ModelledHostTimer();
    const cost = TWINFER_HOST_COSTS.allocate_running;
    expect(timer.elapsedNs('allocate_running', 0, timer.startNs())).toBe(cost.fixedNs);
    expect(timer.elapsedNs('allocate_running', 256, timer.startNs())).toBe(cost.fixedNs + 256 * cost.perWorkNs);
  });

  it('is multiplied by the fault factor while that is set', () => {
    const timer = new ModelledHostTimer();
    const normal = timer.elapsedNs('build_batch', 10, 0);
    timer.factor = 50;
    expect(timer.elapsedNs('build_batch', 10, 0)).toBe(50 * normal);
    timer.factor = 1;
    expect(timer.elapsedNs('build_batch', 10, 0)).toBe(normal);
  });
});
