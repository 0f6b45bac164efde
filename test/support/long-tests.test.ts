import { describe, expect, it, vi } from 'vitest';
import type { ReportedHookContext, TestCase, TestModule } from 'vitest/node';
import { LongTests } from './long-tests.ts';

const MINUTE_MS = 60_000;

/** A reporter at a time that the test sets, and what it has printed. */
function reporter() {
  const clock = { ms: 0 };
  const lines: string[] = [];
  const tests = new LongTests(
    () => clock.ms,
    (line) => void lines.push(line),
  );
  return { clock, lines, tests };
}

const module = { id: 'm', type: 'module', relativeModuleId: 'test/a.test.ts' } as TestModule;
const test = { id: 't', type: 'test', fullName: 'suite > slow', module } as TestCase;

describe('the reporter of long tests', () => {
  it('names what has run for two minutes, at each look, and nothing that has ended', () => {
    const { clock, lines, tests } = reporter();
    tests.onTestModuleQueued(module);
    clock.ms = 3 * MINUTE_MS;
    tests.look();
    tests.onTestModuleCollected(module);
    tests.onTestCaseReady(test);
    tests.look();
    clock.ms = 5 * MINUTE_MS;
    tests.look();
    tests.onTestCaseResult(test);
    clock.ms = 9 * MINUTE_MS;
    tests.look();
    expect(lines).toEqual([
      'running for 3 min: test/a.test.ts: loading',
      'running for 2 min: test/a.test.ts: suite > slow',
    ]);
  });

  it('names hooks', () => {
    const { clock, lines, tests } = reporter();
    const hook = { name: 'beforeAll', entity: module } as ReportedHookContext;
    tests.onHookStart(hook);
    clock.ms = 2 * MINUTE_MS;
    tests.look();
    tests.onHookEnd(hook);
    tests.look();
    expect(lines).toEqual(['running for 2 min: test/a.test.ts: beforeAll']);
  });

  it('looks by itself from the start of a run to its end', () => {
    vi.useFakeTimers();
    try {
      const { clock, lines, tests } = reporter();
      tests.onTestRunStart();
      tests.onTestCaseReady(test);
      clock.ms = 4 * MINUTE_MS;
      vi.advanceTimersByTime(MINUTE_MS);
      expect(lines).toHaveLength(1);
      tests.onTestRunEnd();
      vi.advanceTimersByTime(10 * MINUTE_MS);
      expect(lines).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
  });
});
