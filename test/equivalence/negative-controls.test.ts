import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Engine, InvariantError, NONE, type StepPlan } from '../../src/core/index.ts';
import { assertEqualsSerialRun, EquivalenceError } from '../support/equals-serial-run.ts';
import { MemoryTrueBackend } from '../support/memory-true-backend.ts';
import { type RunOptions, runSchedule } from '../support/run-schedule.ts';
import { type Schedule, schedules } from '../support/schedule.ts';

/**
 * Each control breaks one thing, and some schedule must then give other tokens than the serial run: a test that cannot fail
 * proves nothing. The full check of laws is off, so that only the tokens can tell.
 */
const SCHEDULES = 400;
const UNCHECKED = { checkIntervalNs: 1e15 } as const;

/** Schedules whose tokens differ from the serial run. */
function wrongRuns(list: readonly Schedule[], options: RunOptions): number {
  let wrong = 0;
  for (const schedule of list) {
    try {
      assertEqualsSerialRun(
        schedule,
        runSchedule(schedule, { ...options, changes: { ...UNCHECKED, ...options.changes } }),
      );
    } catch (error) {
      if (error instanceof EquivalenceError) wrong++;
      // Always-on asserts may be faster than the tokens; that alone does not count.
      else if (!(error instanceof InvariantError) && !(error instanceof RangeError)) throw error;
    }
  }
  return wrong;
}

const sample = (adapt: (schedule: Schedule) => Schedule = (schedule) => schedule, seed = 7): Schedule[] =>
  fc.sample(schedules.map(adapt), { seed, numRuns: SCHEDULES });

const withChanges =
  (changes: Schedule['changes'], more: Partial<Schedule> = {}) =>
  (schedule: Schedule): Schedule => ({ ...schedule, ...more, changes: { ...schedule.changes, ...changes } });

class SwappedTableEntries extends MemoryTrueBackend {
  protected override tableRow(plan: StepPlan, row: number): Int32Array {
    const table = super.tableRow(plan, row);
    // In one step of three: swapped in every step, the order of blocks would only be another right one.
    if (plan.stepId % 3 === 0 && table.length > 1) [table[0], table[1]] = [table[1]!, table[0]!];
    return table;
  }
}

class SkippedCopies extends MemoryTrueBackend {
  protected override copyBlock(): void {}
}

class SkippedSwapIns extends MemoryTrueBackend {
  protected override swapInBlock(): void {}
}

/** Fences are put up for nothing: a block is available while the step that writes to it is out. */
function freeEarly({ kv }: Engine): void {
  const release = kv.pool.release.bind(kv.pool);
  kv.pool.release = (block, _fence, toHead) => release(block, NONE, toHead);
}

/** What a failed step was to compute stays published. */
function keepPublished({ kv }: Engine): void {
  kv.unpublish = () => {};
  kv.unpublishStep = () => {};
}

/** Blocks that a row taken out again would have filled stay published. */
function keepUnplanned({ kv }: Engine): void {
  kv.unplanned = () => {};
}

/** All keys of blocks of one parent collide, and nobody compares the tokens. */
function trustHashes({ kv }: Engine): void {
  const { table } = kv.cache as unknown as { table: { sameTokens: () => boolean; samePairs: () => boolean } };
  table.sameTokens = () => true;
  table.samePairs = () => true;
  for (const name of ['find', 'publish'] as const) {
    const original = kv.cache[name].bind(kv.cache) as (...args: unknown[]) => number;
    const at = name === 'find' ? 1 : 2;
    (kv.cache as unknown as Record<string, unknown>)[name] = (...args: unknown[]) => {
      args[at] = { ...(args[at] as object), lane0: 1, lane1: 1 };
      return original(...args);
    };
  }
}

/** All keys of blocks of one parent collide, and hits are verified as always. */
function collideHashes(engine: Engine): void {
  type Verifier = { sameTokens: (...args: unknown[]) => boolean; samePairs: (...args: unknown[]) => boolean };
  const { table } = engine.kv.cache as unknown as { table: Verifier };
  const { sameTokens, samePairs } = table;
  trustHashes(engine);
  table.sameTokens = sameTokens;
  table.samePairs = samePairs;
}

describe('what is broken is seen in the tokens', () => {
  const hits = sample(withChanges({ prefixCaching: true }));
  const overlapped = sample(
    withChanges(
      { stepsInFlight: 2, fencedFrees: true, siblings: 'fork', partialPrefixHits: true },
      { copiesAhead: true },
    ),
  );
  const swaps = sample(
    withChanges({ stepsInFlight: 1, preemption: 'swap', hostBlocksTotal: 64, capacity: 'as-needed' }),
  );
  const failures = sample(withChanges({ prefixCaching: true, failuresMax: 1000 }, { transientPerMille: 150 }));
  // Long prompts in chunks of many small blocks: only then some of what a row would have filled outlives its being taken out.
  const victims = sample((schedule) => ({
    ...withChanges({
      victim: 'cost',
      order: 'priority',
      capacity: 'as-needed',
      preemption: 'recompute',
      prefixCaching: true,
      partialPrefixHits: false,
      pendingPrefixHits: true,
      reuseEmptyFirst: true,
      blockSize: 1,
      blocksTotal: 80,
      sequencesMax: 6,
      tokensPerStepMax: 40,
      prefillChunkTokensMax: 8,
      speculation: null,
    })(schedule),
    requests: schedule.requests.map((request) => ({
      ...request,
      ownTokens: 12 + request.ownTokens,
      arrivalNs: request.arrivalNs % 50,
    })),
  }));

  test('unbroken, the same schedules give the serial run', () => {
    for (const list of [hits, overlapped, swaps, failures, victims]) expect(wrongRuns(list, {})).toBe(0);
  });

  test('two entries of a block table swapped', () => {
    expect(wrongRuns(hits, { backend: SwappedTableEntries })).toBeGreaterThan(SCHEDULES / 2);
  });

  test('a block freed one step early', () => {
    expect(wrongRuns(overlapped, { tamper: freeEarly })).toBeGreaterThan(0);
  });

  test('a copy skipped', () => {
    expect(wrongRuns(hits, { backend: SkippedCopies })).toBeGreaterThan(0);
  });

  test('a swap-in skipped', () => {
    expect(wrongRuns(swaps, { backend: SkippedSwapIns })).toBeGreaterThan(0);
  });

  test('blocks of a failed step left published', () => {
    expect(wrongRuns(failures, { tamper: keepPublished })).toBeGreaterThan(0);
  });

  test('blocks of a row that was taken out again left published', () => {
    expect(wrongRuns(victims, { tamper: keepUnplanned })).toBeGreaterThan(0);
  });

  test('hits believed by their hash', () => {
    expect(wrongRuns(hits, { tamper: trustHashes })).toBeGreaterThan(0);
  });

  test('but not when hashes only collide: hits are verified token by token', () => {
    expect(wrongRuns(hits, { tamper: collideHashes })).toBe(0);
  });
});
