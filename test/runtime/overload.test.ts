import { describe, expect, it } from 'vitest';
import { bundled, ran } from './scenarios.ts';

describe('the bundled scenario overload', () => {
  it('shows what it says: queues, preemptions by swapping, time-outs, missed targets, and a server that comes back', async () => {
    const { run, summary } = await ran(bundled('overload'));
    expect(run.peaks.waiting).toBeGreaterThan(1000);
    expect(summary.preemptions.memoryPressure).toBeGreaterThan(80);
    expect(run.peaks.swapped).toBeGreaterThan(0);
    // Swapped, not computed again.
    expect(summary.books.recomputedOutput).toBeLessThan(summary.preemptions.memoryPressure * 10);
    expect(summary.requests.timedOut).toBeGreaterThan(1000);
    expect(summary.targets!.map(({ pass }) => pass)).toEqual([false, false, false]);
    expect(summary.requests.completed).toBeGreaterThan(2000);
  });
});
