import { describe, expect, it } from 'vitest';
import { checkWaits, type WaitException } from './support/architecture/check-waits.ts';
import { readRepositoryFile, repositoryFiles } from './support/repository-files.ts';

/** Uses that cannot fail a test on a busy machine. */
const EXCEPTIONS: readonly WaitException[] = [
  { path: 'test/support/until.ts', name: 'setTimeout', reason: 'the pause between two looks of every wait' },
  { path: 'test/support/until.ts', name: 'performance', reason: 'says how long a wait has lasted' },
  { path: 'test/support/long-tests.ts', name: 'setInterval', reason: 'looks for tests that hang, and fails none' },
  { path: 'test/support/long-tests.ts', name: 'performance', reason: 'says how long a test has run' },
];

const files = repositoryFiles().filter((path) => /^test\/.*\.ts$/.test(path) && !path.endsWith('.d.ts'));

function allowedIn(path: string): ReadonlySet<string> {
  return new Set(EXCEPTIONS.filter((each) => each.path === path).map(({ name }) => name));
}

describe('tests', () => {
  it('wait for conditions, and have no sleeps, clocks or limits on time', () => {
    expect(files.length).toBeGreaterThan(100);
    const found = files.flatMap((path) => checkWaits(path, readRepositoryFile(path), allowedIn(path)));
    expect(found.map(({ text }) => text)).toEqual([]);
  });

  it.each(EXCEPTIONS)('$path needs its exception for $name', ({ path, name }) => {
    const others = new Set([...allowedIn(path)].filter((each) => each !== name));
    expect(checkWaits(path, readRepositoryFile(path), others).map(({ text }) => text)).toContainEqual(
      expect.stringContaining(`: ${name} is banned in tests`),
    );
  });

  it('have no limits in the configuration of the runner', () => {
    const config = readRepositoryFile('vitest.config.ts');
    expect(config).toContain('testTimeout: 0');
    expect(config).toContain('hookTimeout: 0');
  });
});

const BANNED: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ['a sleep', 'await new Promise((resolve) => setTimeout(resolve, 50));', /setTimeout is banned .*until or eventually/],
  ['a sleep of Node', "import { setTimeout } from 'node:timers/promises';", /timers\/promises is banned/],
  ['a wait with a deadline', 'await vi.waitFor(look);', /vi\.waitFor is banned/],
  ['a poll with a deadline', 'await expect.poll(look).toBe(1);', /expect\.poll is banned/],
  ['a clock', 'const t = performance.now();', /performance is banned .*patience\.nowMs/],
  ['the wall clock', 'const t = Date.now();', /Date\.now is banned/],
  ['a clock by import', "import { performance as p } from 'node:perf_hooks';", /perf_hooks is banned/],
  ['a signal with a deadline', 'fetch(url, { signal: AbortSignal.timeout(5) });', /AbortSignal\.timeout is banned/],
  ['a limit of a test', "it('x', f, 5000);", /a limit behind the function is banned .*bound the work/],
  ['a limit of a test in a table', "it.each(rows)('x', f, LIMIT);", /a limit behind the function/],
  ['a limit of a hook', 'beforeAll(f, 60_000);', /a limit behind the function/],
  ['a limit as an option', "it('x', { timeout: 200_000 }, f);", /timeout is banned/],
  ['a second try', "it('x', { retry: 2 }, f);", /retry is banned/],
  ['a limit of a property', 'fc.assert(p, { interruptAfterTimeLimit: 1000 });', /interruptAfterTimeLimit is banned/],
  ['a limit of a process', "execFileSync('x', [], { timeout: 1000 });", /timeout is banned/],
];

describe('a planted wait is found', () => {
  it.each(BANNED)('%s', (_what, text, message) => {
    expect(checkWaits('test/a.test.ts', text).map((found) => found.text)).toContainEqual(
      expect.stringMatching(message),
    );
  });
});

describe('an innocent line passes', () => {
  it.each([
    ['a test without a limit', "it('x', { skip: true }, f);"],
    ['a table', "it.each(rows)('x', f);"],
    ['a limit that is switched off', 'chromium.launch({ timeout: 0 });'],
    ['a count of timeouts', 'const counts = { timeout: 3 };\nexpect(counts).toEqual({ timeout: counts.timeout });'],
    ['a date that is given', 'const day = new Date(0);'],
    ['the next turn of the event loop', 'setImmediate(f);'],
    ['a banned name in a string', "const text = 'setTimeout';"],
    ['a clock in virtual time', 'vi.useFakeTimers();\nvi.advanceTimersByTime(1000);'],
  ])('%s', (_what, text) => {
    expect(checkWaits('test/a.test.ts', text)).toEqual([]);
  });
});
