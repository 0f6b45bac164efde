import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CoverageCounts } from '../support/coverage-counts.ts';
import { assertEqualsSerialRun, assertNothingLeft } from '../support/equals-serial-run.ts';
import { runSchedule } from '../support/run-schedule.ts';
import { schedules } from '../support/schedule.ts';

/** Random schedules of one run of this file. A failure prints a seed and path: put them beside numRuns to see it again. */
const SCHEDULES = 2000;
const SEED = 20_260_101;

describe('any schedule gives the serial run of its requests', () => {
  const counts = new CoverageCounts();

  test(`${SCHEDULES} random schedules: the same tokens, one end each, nothing left, all laws after every step`, () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const outcome = runSchedule(schedule);
        assertEqualsSerialRun(schedule, outcome);
        assertNothingLeft(outcome);
        counts.add(outcome.counts);
      }),
      { seed: SEED, numRuns: SCHEDULES },
    );
    console.log(counts.table());
  });

  test('the schedules exercised everything that they are for', () => {
    expect(counts.schedules).toBe(SCHEDULES);
    const never = Object.entries(counts).filter(([, count]) => count === 0);
    expect(never.map(([name]) => name)).toEqual([]);
  });
});
