import { describe, test } from 'vitest';
import { assertEqualsSerialRun, assertNothingLeft } from '../support/equals-serial-run.ts';
import { runSchedule } from '../support/run-schedule.ts';
import type { Schedule, ScheduledRequest } from '../support/schedule.ts';

/** Bugs that random schedules found, shrunk. Each failed before its fix. */

const REQUEST: ScheduledRequest = {
  arrivalNs: 0,
  document: 0,
  documentTokens: 0,
  turnOf: 0,
  ownTokens: 1,
  outputTokensMax: 1,
  outputTokensMin: 0,
  ignoreEos: true,
  stopTokens: false,
  samplingSeed: null,
  n: 1,
  priority: 0,
  cacheSalt: 0,
  promptLogprobs: false,
  deadlineNs: null,
  abortNs: null,
  finishNs: null,
};

const SPECULATION = {
  draftTokensMax: 1,
  lookaheadTokens: 0,
  runningOffMin: Number.POSITIVE_INFINITY,
  runningOnMax: 0,
  acceptanceOffMax: 0,
  acceptanceOnMin: 0.5,
  retrySteps: 1,
};

const CHANGES = {
  unpublishUnplanned: true,
  blockSize: 1,
  tokensPerStepMax: 8,
  modelLenMax: 100,
  failuresMax: 0,
  speculation: SPECULATION,
  checkIntervalNs: 0,
} as const;

function run(changes: Schedule['changes'], requests: Partial<ScheduledRequest>[], more: Partial<Schedule> = {}): void {
  const schedule: Schedule = {
    profile: 'twinfer',
    model: { vocabulary: 2, eosEvery: 0 },
    proposer: 'ngram',
    copiesAhead: false,
    seed: 0,
    durationNsMax: 1,
    transientPerMille: 0,
    stickyPerMille: 0,
    deviceLostPerMille: 0,
    ...more,
    changes: { ...CHANGES, ...changes },
    requests: requests.map((request) => ({ ...REQUEST, ...request })),
  };
  const outcome = runSchedule(schedule);
  assertEqualsSerialRun(schedule, outcome);
  assertNothingLeft(outcome);
}

describe('speculation', () => {
  test('drafting that goes off while drafts are in flight plans nobody behind unverified drafts', () => {
    run(
      { stepsInFlight: 2, blocksTotal: 41, sequencesMax: 3, speculation: { ...SPECULATION, runningOffMin: 2 } },
      [
        { arrivalNs: 1, document: 2, documentTokens: 2, outputTokensMax: 4, outputTokensMin: 1, samplingSeed: 0 },
        { arrivalNs: 1, ownTokens: 6, n: 3, finishNs: 0 },
        { arrivalNs: 2, outputTokensMax: 2 },
      ],
      { model: { vocabulary: 1000, eosEvery: 0 }, proposer: 'guesses' },
    );
  });

  test('drafts of a sequence that is aborted in flight are accounted for', () => {
    run(
      { stepsInFlight: 1, blocksTotal: 41, sequencesMax: 4 },
      [{ turnOf: 1, outputTokensMax: 3, abortNs: 445 }, { outputTokensMin: 1 }],
      { durationNsMax: 400 },
    );
  });

  test('drafts of a row that finds no block are accounted for', () => {
    run({ stepsInFlight: 1, blocksTotal: 51, sequencesMax: 2 }, [
      { ownTokens: 4, stopTokens: true, samplingSeed: 0, deadlineNs: 1, ignoreEos: false },
      { turnOf: 1 },
      {},
      { turnOf: 3, outputTokensMax: 23, samplingSeed: 3, n: 3 },
      {},
    ]);
  });
});

describe('failed steps', () => {
  test('blocks published by a sequence that left while its step was in flight go with the failed step', () => {
    run(
      { stepsInFlight: 2, blocksTotal: 61, sequencesMax: 1, tokensPerStepMax: 1 },
      [{ turnOf: 1 }, { ownTokens: 2, outputTokensMin: 1, n: 3, cacheSalt: 1 }, { turnOf: 1 }],
      { transientPerMille: 200 },
    );
  });

  test('a block to be computed again may be shared until the step behind has failed too', () => {
    run(
      { stepsInFlight: 2, blocksTotal: 41, sequencesMax: 2, tokensPerStepMax: 2, failuresMax: 1 },
      [
        { documentTokens: 7, ownTokens: 10 },
        { arrivalNs: 8, turnOf: 1 },
        { ownTokens: 22, outputTokensMax: 2 },
      ],
      { transientPerMille: 200, seed: 1 },
    );
  });

  test('a block that accepted drafts filled goes with the step that published it, and its owner knows', () => {
    run(
      { stepsInFlight: 1, blocksTotal: 41, sequencesMax: 1, failuresMax: 1 },
      [{ outputTokensMax: 4, outputTokensMin: 1, n: 2, cacheSalt: 1, ignoreEos: false }, { ignoreEos: false }],
      { transientPerMille: 200 },
    );
  });
});

describe('siblings', () => {
  test('a leader that was preempted is no source of blocks before its prompt is computed again', () => {
    run(
      { stepsInFlight: 1, blockSize: 3, blocksTotal: 15, sequencesMax: 2 },
      [
        { documentTokens: 7, outputTokensMax: 9, samplingSeed: 0, finishNs: 0, ignoreEos: false },
        { samplingSeed: 0, abortNs: 0, ignoreEos: false },
        {
          arrivalNs: 1,
          turnOf: 1,
          ownTokens: 19,
          outputTokensMax: 2,
          outputTokensMin: 1,
          cacheSalt: 1,
          ignoreEos: false,
        },
        { turnOf: 1, ownTokens: 6, outputTokensMax: 2, n: 2, abortNs: 9, ignoreEos: false },
        { cacheSalt: 1, promptLogprobs: true, deadlineNs: 1, ignoreEos: false },
      ],
      { profile: 'vllm-v1' },
    );
  });
});
