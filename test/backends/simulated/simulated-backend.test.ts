import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AcceptanceProcess, type DeviceFault } from '../../../src/backends/simulated/index.ts';
import { CounterRng, PRIORITY } from '../../../src/core/index.ts';
import { DeviceDriver, type Ended, STEPS_MAX, sequence, TIMING } from './device-driver.ts';

const NEVER = Number.POSITIVE_INFINITY;

function stepNs(rows: number, context: number): number {
  return TIMING.stepNs(
    {
      decodeRows: rows,
      decodeTokens: rows,
      prefillRows: 0,
      prefillTokens: 0,
      prefillContextTokens: 0,
      prefillAttentionPairs: 0,
      sampledRows: rows,
    },
    context,
  );
}

/** Steps (or runs) until a row ends or `steps` have run. */
function drive(
  options: ConstructorParameters<typeof DeviceDriver>[0],
  rows: readonly (readonly [prompt: number, outputs: number, implied: number])[],
  steps: number,
  run: boolean,
  hostNs: number,
): { durationsNs: number[]; last: Ended; outputs: number[] } {
  const driver = new DeviceDriver(options);
  const sequences = rows.map(([prompt, outputs, implied], i) => sequence(i, prompt, outputs, implied));
  const durationsNs: number[] = [];
  const submit = () => driver.decode(sequences, run ? steps - durationsNs.length : 1, hostNs);
  driver.onEnded = () => {
    const last = driver.ended.at(-1)!;
    durationsNs.push(...last.durationsNs);
    if (last.status === 'ok' && !last.ended.includes(1) && durationsNs.length < steps) submit();
  };
  submit();
  driver.clock.run();
  return { durationsNs, last: driver.ended.at(-1)!, outputs: sequences.map((s) => s.outputTokens) };
}

describe('one step at a time', () => {
  it('takes what the timing model says, and is told only when the clock gets there', () => {
    const driver = new DeviceDriver();
    const s = sequence(1, 1000, 1, NEVER);
    driver.decode([s]);
    expect(driver.ended).toEqual([]);
    driver.clock.run();
    expect(driver.ended).toHaveLength(1);
    expect(driver.ended[0]).toMatchObject({ status: 'ok', durationsNs: [stepNs(1, 1000)], endNs: stepNs(1, 1000) });
    expect(s.outputTokens).toBe(2);
  });

  it("adds the host's work when nothing runs, and hides it behind a step in flight", () => {
    const driver = new DeviceDriver({ stepsInFlight: 2 });
    const rows = [sequence(1, 1000, 1, NEVER)];
    driver.decode(rows, 1, 50_000);
    driver.decode(rows, 1, 50_000);
    driver.clock.run();
    expect(driver.ended.map((e) => e.durationsNs[0])).toEqual([50_000 + stepNs(1, 1000), stepNs(1, 1001)]);
    expect(driver.ended[1]!.endNs).toBe(50_000 + stepNs(1, 1000) + stepNs(1, 1001));
  });

  it('shows the part of the host work that is longer than the step in flight', () => {
    const driver = new DeviceDriver({ stepsInFlight: 2 });
    const rows = [sequence(1, 1000, 1, NEVER)];
    const first = stepNs(1, 1000);
    driver.decode(rows);
    driver.decode(rows, 1, first + 1234);
    driver.clock.run();
    expect(driver.ended[1]!.durationsNs).toEqual([1234 + stepNs(1, 1001)]);
  });

  it('makes swaps and copies before the step', () => {
    const driver = new DeviceDriver();
    driver.decode([sequence(1, 1000, 1, NEVER)], 1, 0, 0, (plan) => {
      plan.addSwapOut(1, 2);
      plan.addSwapIn(3, 4);
      plan.addCopy(5, 6);
    });
    driver.clock.run();
    expect(driver.ended[0]!.durationsNs).toEqual([stepNs(1, 1000) + TIMING.swapNs(1, 1) + TIMING.copyNs(1)]);
  });

  it('rows that do not sample get no token', () => {
    const driver = new DeviceDriver();
    driver.decode([sequence(1, 1000, 1, 2), sequence(2, 1000, 1, 2)], 1, 0, 0, (plan) => {
      plan.samples[0] = 0;
    });
    driver.clock.run();
    expect(driver.ended[0]!.ended).toEqual([0, 1]);
  });

  it('refuses a third submission, and any after close', () => {
    const driver = new DeviceDriver({ stepsInFlight: 2 });
    const rows = [sequence(1, 10, 1, NEVER)];
    driver.decode(rows);
    driver.decode(rows);
    expect(() => driver.decode(rows)).toThrow(/at most two/);
    driver.backend.close();
    driver.backend.close();
    expect(() => driver.decode(rows)).toThrow(/closed/);
    driver.clock.run();
    expect(driver.ended).toEqual([]);
  });
});

describe('where the model ends', () => {
  it.each([
    ['at its implied token', 5, {}, 5],
    ['never, when end-of-sequence is ignored', 5, { ignoreEos: true }, null],
    ['not before the least number of outputs', 5, { outputTokensMin: 8 }, 8],
    ['never, when nothing is implied', NEVER, {}, null],
    ['with its first token at the earliest', 0, {}, 1],
  ] as const)('%s', (_name, implied, sampling, expected) => {
    for (const stepsInFlight of [1, 2] as const) {
      const driver = new DeviceDriver({ stepsInFlight });
      const s = sequence(1, 100, 0, implied, sampling);
      let endedAt: number | null = null;
      let planned = 0;
      const fill = () => {
        while (endedAt === null && planned < 20 && planned - driver.ended.length < stepsInFlight) {
          planned++;
          driver.decode([s]);
        }
      };
      driver.onEnded = () => {
        if (endedAt === null && driver.ended.at(-1)!.ended[0] === 1) endedAt = driver.ended.length;
        fill();
      };
      fill();
      driver.clock.run();
      expect(endedAt).toBe(expected);
    }
  });

  it('a step already in flight when its row ends delivers nothing that counts', () => {
    const driver = new DeviceDriver({ stepsInFlight: 2 });
    const s = sequence(1, 100, 1, 2);
    driver.decode([s]);
    driver.decode([s]);
    driver.clock.run();
    expect(driver.ended.map((e) => [e.ended[0], e.endedTokens[0]])).toEqual([
      [1, 1],
      [1, 0],
    ]);
  });
});

describe('drafts', () => {
  it('all or none are accepted at the ends of the scale', () => {
    for (const [p, accepted] of [
      [1, 4],
      [0, 0],
    ] as const) {
      const driver = new DeviceDriver({ acceptance: new AcceptanceProcess(new CounterRng(1), [p]) });
      driver.decode([sequence(1, 100, 1, NEVER)], 1, 0, 4);
      driver.clock.run();
      expect(driver.ended[0]!.acceptedDrafts).toEqual([accepted]);
    }
  });

  it('counts only the tokens up to the end', () => {
    const driver = new DeviceDriver({ acceptance: new AcceptanceProcess(new CounterRng(1), [1]) });
    driver.decode([sequence(1, 100, 7, 10), sequence(2, 100, 7, 12), sequence(3, 100, 7, 13)], 1, 0, 4);
    driver.clock.run();
    expect(driver.ended[0]).toMatchObject({ acceptedDrafts: [4, 4, 4], ended: [1, 1, 0] });
    expect(driver.ended[0]!.endedTokens.slice(0, 2)).toEqual([3, 5]);
  });

  it('are decided per request and position, however many are drafted at once', () => {
    const process = new AcceptanceProcess(new CounterRng(7), [0.6]);
    const ones: number[] = [];
    for (let id = 0; id < 5000; id++) {
      const s = sequence(id, 100, 0, NEVER);
      const eight = process.accepted(s, 5, 8);
      for (const drafts of [0, 1, 3, 7]) expect(process.accepted(s, 5, drafts)).toBe(Math.min(drafts, eight));
      // Draft 2 at output 5 is draft 1 at output 6.
      if (eight > 0) expect(process.accepted(s, 6, 7)).toBe(eight - 1);
      ones.push(Math.min(1, eight));
    }
    expect(Math.abs(ones.reduce((a, b) => a + b, 0) / ones.length - 0.6)).toBeLessThan(0.02);
  });

  it('uses one probability per position', () => {
    const process = new AcceptanceProcess(new CounterRng(3), [1, 1, 0]);
    expect(process.accepted(sequence(1, 1, 0, NEVER), 0, 8)).toBe(2);
    expect(() => new AcceptanceProcess(new CounterRng(3), [1.5])).toThrow(/acceptance: 1.5/);
    expect(() => new AcceptanceProcess(new CounterRng(3), [])).toThrow(/acceptance/);
  });
});

describe('runs of steps', () => {
  const row = fc.tuple(
    fc.integer({ min: 1, max: 4000 }),
    fc.integer({ min: 1, max: 50 }),
    fc.option(fc.integer({ min: 51, max: 300 }), { nil: NEVER }),
  );

  it('are the same steps one by one: durations, end, ended rows, with faults and slow windows', () => {
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 0, max: 100_000 }),
        fc.array(fc.integer({ min: 0, max: 3e9 }), { maxLength: 2 }),
        fc.tuple(fc.integer({ min: 0, max: 1e9 }), fc.integer({ min: 1, max: 1e9 })),
        (rows, steps, hostNs, failures, [fromNs, length]) => {
          const faults: DeviceFault[] = [
            ...failures.map((atNs) => ({ kind: 'transient' as const, atNs, message: 'ECC' })),
            { kind: 'slow', fromNs, toNs: fromNs + length, factor: 1.7 },
          ];
          const single = drive({ faults }, rows, steps, false, hostNs);
          expect(drive({ faults }, rows, steps, true, hostNs)).toEqual({
            ...single,
            last: { ...single.last, durationsNs: expect.anything() },
          });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('are the same steps with two in flight, also when the host is slower than the device', () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 4000 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 20_000_000 }),
      (prompt, steps, hostNs) => {
        const single = new DeviceDriver({ stepsInFlight: 2 });
        const s = sequence(1, prompt, 1, NEVER);
        let planned = 0;
        const fill = () => {
          for (; planned < steps && planned - single.ended.length < 2; planned++) single.decode([s], 1, hostNs);
        };
        single.onEnded = fill;
        fill();
        single.clock.run();
        const run = new DeviceDriver({ stepsInFlight: 2 });
        run.decode([sequence(1, prompt, 1, NEVER)], steps, hostNs);
        run.clock.run();
        expect(run.ended[0]!.durationsNs).toEqual(single.ended.flatMap((e) => e.durationsNs));
        expect(run.clock.nowNs()).toBe(single.clock.nowNs());
      },
    );
    fc.assert(property, { numRuns: 100 });
  });

  it('end at plan.stepsMax', () => {
    const driver = new DeviceDriver();
    driver.decode([sequence(1, 100, 1, NEVER)], STEPS_MAX);
    driver.clock.run();
    expect(driver.ended[0]!.durationsNs).toHaveLength(STEPS_MAX);
  });

  it('end with the first row that ends', () => {
    const driver = new DeviceDriver();
    driver.decode([sequence(1, 100, 1, 40), sequence(2, 100, 11, 30), sequence(3, 100, 1, 20)], STEPS_MAX);
    driver.clock.run();
    expect(driver.ended[0]!.durationsNs).toHaveLength(19);
    expect(driver.ended[0]!.ended).toEqual([0, 1, 1]);
    expect(driver.ended[0]!.endedTokens.slice(1)).toEqual([1, 1]);
  });

  it('end with the step during which something is due, at its last nanosecond too', () => {
    const whole = [stepNs(1, 100), stepNs(1, 101), stepNs(1, 102)];
    const third = whole[0]! + whole[1]! + whole[2]!;
    for (const [dueNs, steps] of [
      [1, 1],
      [whole[0]!, 1],
      [whole[0]! + 1, 2],
      [third, 3],
      [third + 1, 4],
    ] as const) {
      const driver = new DeviceDriver();
      driver.clock.at(dueNs, PRIORITY.arrival, { run: () => {} });
      driver.decode([sequence(1, 100, 1, NEVER)], STEPS_MAX);
      driver.clock.run();
      expect(driver.ended[0]!.durationsNs).toHaveLength(steps);
    }
  });

  it('hide the host work of later steps when the engine keeps two in flight', () => {
    const run = (stepsInFlight: 1 | 2) => {
      const driver = new DeviceDriver({ stepsInFlight });
      driver.decode([sequence(1, 100, 1, NEVER)], 3, 40_000);
      driver.clock.run();
      return driver.ended[0]!.durationsNs;
    };
    expect(run(1)).toEqual([100, 101, 102].map((context) => 40_000 + stepNs(1, context)));
    expect(run(2)).toEqual([40_000 + stepNs(1, 100), stepNs(1, 101), stepNs(1, 102)]);
  });

  it('behind a step in flight are one step, and a row that ends in that step gets nothing more', () => {
    const driver = new DeviceDriver({ stepsInFlight: 2 });
    const rows = [sequence(1, 100, 1, 2), sequence(2, 100, 1, NEVER)];
    driver.decode(rows);
    driver.decode(rows, 5);
    driver.clock.run();
    expect(driver.ended[1]!.durationsNs).toHaveLength(1);
    expect([driver.ended[1]!.ended, driver.ended[1]!.endedTokens[0]]).toEqual([[1, 0], 0]);
  });

  it('refuse rows that do not decode', () => {
    const driver = new DeviceDriver();
    expect(() =>
      driver.decode([sequence(1, 100, 1, NEVER)], 2, 0, 0, (plan) => {
        plan.decodeTokens = 2;
      }),
    ).toThrow(/every row decodes one token/);
  });
});
