import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type RunOptions, runSchedule } from '../support/run-schedule.ts';
import { type Schedule, schedules } from '../support/schedule.ts';

const SCHEDULES = 250;

/** Nobody cuts a request short, so that its output is a function of the request alone. */
function undisturbed(schedule: Schedule): Schedule {
  return {
    ...schedule,
    transientPerMille: 0,
    stickyPerMille: 0,
    deviceLostPerMille: 0,
    requests: schedule.requests.map((request) => ({ ...request, deadlineNs: null, abortNs: null, finishNs: null })),
  };
}

function outputs(schedule: Schedule, options: RunOptions): string[] {
  return runSchedule(schedule, options).received.map((own) => {
    return `${own.request}.${own.index} ${own.reason}: ${own.tokens.join(' ')}`;
  });
}

test('1 and 2 steps in flight give the same tokens and ends', () => {
  fc.assert(
    fc.property(schedules.map(undisturbed), (schedule) => {
      const one = outputs(schedule, { changes: { stepsInFlight: 1 } });
      const two = outputs(schedule, { changes: { stepsInFlight: 2 } });
      expect(two).toEqual(one);
    }),
    { seed: 41, numRuns: SCHEDULES },
  );
});
