import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runSchedule } from '../support/run-schedule.ts';
import { schedules } from '../support/schedule.ts';

const SCHEDULES = 150;

test('the same schedule twice gives byte-identical event logs', () => {
  fc.assert(
    fc.property(schedules, (schedule) => {
      const first = runSchedule(schedule);
      expect(first.log.length).toBeGreaterThan(0);
      expect(runSchedule(schedule).log === first.log).toBe(true);
    }),
    { seed: 42, numRuns: SCHEDULES },
  );
});

test('another seed gives another log: the log depends on what happened', () => {
  const logs = fc
    .sample(schedules, { seed: 43, numRuns: 20 })
    .filter((schedule) => schedule.durationNsMax > 1)
    .map((schedule) => [runSchedule(schedule).log, runSchedule({ ...schedule, seed: schedule.seed + 1 }).log] as const);
  expect(logs.some(([one, other]) => one !== other)).toBe(true);
});
