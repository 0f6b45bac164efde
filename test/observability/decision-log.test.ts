import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineConfig } from '../../src/core/index.ts';
import { decisionLogHeader } from '../../src/observability/decision-log-format.ts';
import { DecisionLogVerifier, headerMismatch } from '../../src/observability/decision-log-verifier.ts';
import { readSteps } from './decision-log-rows.ts';
import { type LoggedRequest, type LoggedRun, type LoggedRunOptions, lineSource, loggedRun } from './logged-engine.ts';
import { orders, schedules } from './pressed-schedules.ts';

const SMALL: Partial<EngineConfig> = {
  blockSize: 4,
  blocksTotal: 64,
  sequencesMax: 4,
  tokensPerStepMax: 16,
  modelLenMax: 128,
};

const linesOf = (run: LoggedRun) => run.lines.map((line) => JSON.parse(line));

/** The lines that have a field, with that field alone. */
const only = (run: LoggedRun, field: string) =>
  linesOf(run).flatMap((line) => (line[field] === undefined ? [] : [line[field]]));

const one = (promptTokens: number, outputTokensMax: number, more: Partial<LoggedRequest> = {}): LoggedRequest => ({
  arrivalNs: 0,
  stream: 1,
  promptTokens,
  outputTokensMax,
  ...more,
});

describe('lines of a decision log', () => {
  it('tell a chunked prefill, repeated decode steps and the end', () => {
    const run = loggedRun({ config: SMALL, requests: [one(20, 10)] });
    expect(linesOf(run)).toEqual([
      {
        step: 0,
        ns: 0,
        decode: 0,
        newBlocks: 4,
        prefill: [['0.0', 16]],
        arrived: [['0.0', 0, 20, 10]],
        admitted: [['0.0', 0, 'no-entry', 4]],
      },
      { step: 1, ns: 1000, decode: 0, newBlocks: 1, prefill: [['0.0', 4]] },
      // 9 tokens more, of which the 1st, 5th and 9th begin a block.
      { step: 2, times: 9, ns: 2000, lastNs: 10_000, decode: 1, newBlocks: 3, firstTokens: [['0.0', 2000]] },
      { end: true, ns: 11_000, steps: 11, finished: [['0.0', 'length', 11_000, 10]] },
    ]);
  });

  it('tell where the prefix match of an admission ended and why', () => {
    const run = loggedRun({
      config: SMALL,
      requests: [one(12, 4), one(13, 4, { arrivalNs: 8000 }), one(8, 4, { arrivalNs: 8000, stream: 2 })],
    });
    const [first, ...others] = only(run, 'admitted').flat();
    expect(first).toEqual(['0.0', 0, 'no-entry', 3]);
    expect(others).toEqual([
      ['1.0', 12, 'whole-prompt', 1],
      ['2.0', 0, 'no-entry', 2],
    ]);
  });

  it('tell who waits at the head, and why: no place in the batch', () => {
    const run = loggedRun({
      config: { ...SMALL, sequencesMax: 1 },
      requests: [one(4, 4), one(4, 4, { stream: 2 }), one(4, 4, { stream: 3 })],
    });
    const [first] = linesOf(run);
    expect(first).toMatchObject({ waiting: 2, head: ['1.0', 'sequences'] });
    expect(only(run, 'head').at(-1)).toEqual(['2.0', 'sequences']);
  });

  it.each([
    ['budget', { tokensPerStepMax: 8 }, {}],
    ['blocks', { blocksTotal: 6, capacity: 'as-needed', bypassMax: 0 }, {}],
    ['overcommit', { blocksTotal: 8 }, { outputTokensMax: 16 }],
    ['watermark', { blocksTotal: 10, capacity: 'reserve-prompt', watermarkRatio: 0.7 }, {}],
  ] as const)('tell that the head lacks %s', (reason, config, more) => {
    const requests = [1, 2, 3].map((stream) => one(8, 4, { stream, ...more }));
    const run = loggedRun({ config: { ...SMALL, ...config }, requests });
    expect(only(run, 'head').map(([, why]) => why)).toContain(reason);
  });

  it('tell who made room, how, and how it came back', () => {
    const requests = [1, 2].map((stream) => one(8, 16, { stream }));
    const tight = { ...SMALL, blocksTotal: 8, capacity: 'as-needed', victim: 'tail' } as const;
    const recomputed = loggedRun({ config: tight, requests });
    expect(only(recomputed, 'preempted').flat()[0]).toEqual(['1.0', 'memory_pressure', 'recompute', '0.0', 16]);
    expect(only(recomputed, 'head')).toContainEqual(['1.0', 'preempted-this-step']);
    expect(only(recomputed, 'evicted').flat().length).toBeGreaterThan(0);
    const swapped = loggedRun({ config: { ...tight, preemption: 'swap', hostBlocksTotal: 8 }, requests });
    expect(only(swapped, 'preempted').flat()[0]).toEqual(['1.0', 'memory_pressure', 'swap', '0.0', 0]);
    expect(only(swapped, 'swapped')).toContain(1);
    const again = (run: LoggedRun) =>
      only(run, 'admitted')
        .flat()
        .find((each) => each.length === 5);
    expect(again(swapped)).toEqual(['1.0', 0, 'no-entry', expect.any(Number), 'swapped-in']);
    expect(again(recomputed)).toEqual(['1.0', expect.any(Number), expect.any(String), expect.any(Number), 'resumed']);
  });

  it('tell refusals with their reason once, and ends at a deadline as timeout', () => {
    const requests = [one(8, 4), one(127, 400, { stream: 2, n: 2 }), one(8, 100, { stream: 3, deadlineNs: 5500 })];
    const run = loggedRun({ config: { ...SMALL, blocksTotal: 30 }, requests });
    expect(only(run, 'rejected')).toEqual([[[1, 'never-fits']]]);
    expect(only(run, 'finished').flat()).toEqual([
      ['0.0', 'length', 4000, 4],
      ['2.0', 'timeout', 5500, 5],
    ]);
  });

  it('tell submissions that failed, and that their work is scheduled again', () => {
    const run = loggedRun({ config: SMALL, requests: [one(8, 4)], failures: new Map([[2, 'transient']]) });
    expect(only(run, 'failed')).toEqual([[[2, 'transient']]]);
    expect(linesOf(run).at(-1)).toMatchObject({ end: true, steps: 5 });
  });

  it('keep no more than a bounded number of events when no step comes', () => {
    const requests = Array.from({ length: 10_000 }, (_, i) => one(200, 4, { arrivalNs: i }));
    const run = loggedRun({ config: SMALL, requests });
    expect(run.lines).toHaveLength(3);
    expect(only(run, 'rejected').flat()).toHaveLength(10_000);
  });
});

describe('a decision log', () => {
  it('holds the rows of every step, in order, though it repeats nothing', () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const { lines, seen } = loggedRun(orders(schedule));
        const read = readSteps(lines);
        expect(read.map(({ step, rows, waiting }) => ({ step, rows, waiting }))).toEqual(
          seen.map(({ step, rows, waiting }) => ({ step, rows, waiting })),
        );
        for (const [i, { ns }] of read.entries()) if (ns !== null) expect(ns).toBe(seen[i]!.ns);
        expect(JSON.parse(lines.at(-1)!)).toMatchObject({ end: true, steps: seen.length });
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it('takes less than a hundredth of a line per step where steps repeat', () => {
    const run = loggedRun({ config: { ...SMALL, blocksTotal: 1024, modelLenMax: 4096 }, requests: [one(8, 2000)] });
    expect(run.seen.length).toBe(2000);
    expect(run.lines.length).toBeLessThan(20);
  });
});

const BUSY: LoggedRunOptions = {
  config: { ...SMALL, blocksTotal: 16, capacity: 'as-needed' },
  requests: Array.from({ length: 12 }, (_, i) => one(5 + i, 12, { arrivalNs: 1500 * i, stream: i % 3 })),
};

async function verify(expected: readonly string[], came: readonly string[]) {
  const verifier = new DecisionLogVerifier(lineSource(expected));
  for (let i = 0; i < came.length; i += 3) await verifier.take(came.slice(i, i + 3));
  await verifier.close();
  return { stepsCompared: verifier.stepsCompared, difference: verifier.difference };
}

describe('verification', () => {
  const { lines, seen } = loggedRun(BUSY);

  it('finds no difference in the same run', async () => {
    expect(await verify(lines, loggedRun(BUSY).lines)).toEqual({ stepsCompared: seen.length, difference: null });
  });

  it('names step, time, field, what was expected and what came', async () => {
    const at = lines.findIndex((line) => line.includes('"preempted"'));
    const { step, ns, preempted } = JSON.parse(lines[at]!);
    const changed = lines.with(at, lines[at]!.replace('memory_pressure', 'priority'));
    expect(await verify(changed, lines)).toEqual({
      stepsCompared: step,
      difference: `step ${step} at ${(ns / 1e9).toFixed(9)} s: preempted: expected ${JSON.stringify(preempted).replace('memory_pressure', 'priority')}, came ${JSON.stringify(preempted)}`,
    });
  });

  it('finds any change of any line, at that line', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(lines.length - 1), fc.nat(), async (index, which) => {
        const line = JSON.parse(lines[index]!);
        const numbers = Object.keys(line).filter((field) => typeof line[field] === 'number' && field !== 'times');
        const field = numbers[which % numbers.length]!;
        const changed = lines.with(index, JSON.stringify({ ...line, [field]: line[field] + 1 }));
        const { stepsCompared, difference } = await verify(changed, lines);
        expect(difference).toContain(
          line.end === true ? 'expected {"end":true' : `: ${field}: expected ${line[field] + 1}, came `,
        );
        expect(stepsCompared).toBe(line.end === true ? seen.length : line.step);
      }),
    );
  });

  it.each([
    ['fewer', -1],
    ['more', 1],
  ])('names the step at which %s repetitions came than the log has', async (_word, more) => {
    const at = lines.findIndex((line) => JSON.parse(line).times > 2);
    const line = JSON.parse(lines[at]!);
    const next = JSON.parse(lines[at + 1]!);
    const times = line.times - more;
    const { stepsCompared, difference } = await verify(lines.with(at, JSON.stringify({ ...line, times })), lines);
    expect(stepsCompared).toBe(line.step + Math.min(times, line.times));
    expect(difference).toContain(`step ${next.step} at ${(next.ns / 1e9).toFixed(9)} s: expected`);
    expect(difference).toContain(`step ${line.step} again (${line.decode} decode rows)`);
  });

  it('finds a log that ends too early, and one that goes on', async () => {
    const short = await verify(lines.slice(0, -1), lines);
    expect(short.difference).toMatch(/the log ends here without its last line; came \{"end":true/);
    expect(short.stepsCompared).toBe(seen.length);
    const long = await verify([...lines, '{"step":99}'], lines);
    expect(long.difference).toBe('the log goes on behind its end with {"step":99}');
    expect((await verify(lines, lines.with(3, lines.at(-1)!))).difference).toMatch(/expected .*, came .*"end":true/);
  });

  it('says so when a line of the log is no JSON', async () => {
    const { difference } = await verify(lines.with(2, lines[2]!.slice(0, 10)), lines);
    expect(difference).toMatch(/^step \d+ at \d\.\d{9} s: expected a line that is no JSON/);
  });

  it('stays one line of bounded length', async () => {
    const many = lines.with(
      1,
      JSON.stringify({ ...JSON.parse(lines[1]!), evicted: Array.from({ length: 5000 }, (_, i) => 3 * i) }),
    );
    const { difference } = await verify(many, lines);
    expect(difference).toContain('evicted: expected [0,3,6,');
    expect(difference!.length).toBeLessThan(600);
    expect(difference).not.toContain('\n');
  });
});

describe('headers', () => {
  const run = {
    scenario: 'a',
    seed: 1,
    workload: { kind: 'trace', file: 'x.csv', sha256: 'aa' },
    engine: { blocksTotal: 9, victim: 'tail' },
  };
  const header = decisionLogHeader(run);
  const against = (changes: object) => headerMismatch(header, decisionLogHeader({ ...run, ...changes }));

  it('of equal runs match, whatever the trace file is called', () => {
    expect(against({})).toBeNull();
    expect(against({ workload: { ...run.workload, file: 'y.csv' } })).toBeNull();
  });

  it('of other runs name the field and both values', () => {
    expect(against({ seed: 2 })).toBe('not comparable: seed is 1 in the log and 2 in this run');
    expect(against({ scenario: 'b' })).toBe('not comparable: scenario is "a" in the log and "b" in this run');
    expect(against({ engine: { blocksTotal: 10, victim: 'cost' } })).toBe(
      'not comparable: engine.blocksTotal is 9 in the log and 10 in this run (and 1 more: engine.victim)',
    );
    expect(against({ workload: { kind: 'generated' } })).toContain('workload.kind is "trace" in the log');
    expect(against({ extra: 1 })).toBe('not comparable: extra is none in the log and 1 in this run');
  });

  it.each([null, '', 'step,ns', '{"format":"other"}', '[1]', '7'])('that are none are refused: %s', (line) => {
    expect(headerMismatch(line, header)).toBe('is no decision log of Twinfer');
  });

  it('of another version are refused', () => {
    expect(headerMismatch(header.replace('"version":2', '"version":1'), header)).toBe(
      'format version 1 is not known; allowed: 2',
    );
  });
});
