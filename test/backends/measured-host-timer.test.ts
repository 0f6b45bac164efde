import { expect, it } from 'vitest';
import { MeasuredHostTimer } from '../../src/backends/measured-host-timer.ts';

it('measures what passes by its clock, and with a factor waits until it is so many times as much', () => {
  let nowNs = 1000;
  // Each look at the clock takes 10 ns.
  const timer = new MeasuredHostTimer(() => (nowNs += 10));
  const startNs = timer.startNs();
  nowNs += 90;
  expect(timer.elapsedNs('build_batch', 5, startNs)).toBe(100);
  timer.factor = 50;
  const slowNs = timer.startNs();
  nowNs += 90;
  const ns = timer.elapsedNs('build_batch', 5, slowNs);
  expect(ns).toBeGreaterThanOrEqual(5000);
  expect(ns).toBeLessThan(5100);
});
