import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PRIORITY, type Task, VirtualClock } from '../../src/core/clock.ts';

interface Armed {
  readonly timeNs: number;
  readonly priority: number;
  readonly order: number;
}

/** The law of the clock, in one line: time, then priority, then order of arming. */
const byLaw = (a: Armed, b: Armed) => a.timeNs - b.timeNs || a.priority - b.priority || a.order - b.order;

/** Few distinct times and priorities, so that ties are the rule. */
const wakeUp = fc.record({ delayNs: fc.integer({ min: 0, max: 6 }), priority: fc.integer({ min: 0, max: 3 }) });

function recorder(into: string[], name: string): Task {
  return { run: (timeNs) => into.push(`${name}@${timeNs}`) };
}

describe('VirtualClock', () => {
  it('runs tasks by time, then priority, then order of arming', () => {
    fc.assert(
      fc.property(fc.array(wakeUp, { maxLength: 60 }), (wakeUps) => {
        const clock = new VirtualClock();
        const ran: Armed[] = [];
        const armed = wakeUps.map(({ delayNs, priority }, order) => ({ timeNs: delayNs, priority, order }));
        for (const one of armed) clock.at(one.timeNs, one.priority, { run: () => ran.push(one) });
        clock.run();
        expect(ran).toEqual([...armed].sort(byLaw));
      }),
    );
  });

  it('keeps that order against a sorted array when tasks arm further tasks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(wakeUp, fc.array(wakeUp, { maxLength: 3 })), { minLength: 1, maxLength: 40 }),
        (script) => {
          const clock = new VirtualClock();
          const model: Armed[] = [];
          let order = 0;
          const left = [...script];
          const arm = (nowNs: number, { delayNs, priority }: { delayNs: number; priority: number }) => {
            const one = { timeNs: nowNs + delayNs, priority, order: order++ };
            model.push(one);
            clock.at(one.timeNs, priority, { run: (timeNs) => check(one, timeNs) });
          };
          const check = (one: Armed, timeNs: number) => {
            model.sort(byLaw);
            expect(one).toBe(model.shift());
            expect([timeNs, clock.nowNs()]).toEqual([one.timeNs, one.timeNs]);
            for (const next of left.pop()?.[1] ?? []) arm(timeNs, next);
            model.sort(byLaw);
            expect(clock.armed).toBe(model.length);
            expect(clock.nextNs()).toBe(model[0]?.timeNs ?? Number.POSITIVE_INFINITY);
          };
          for (const [first] of script) arm(0, first);
          clock.run();
          expect(model).toEqual([]);
          expect(clock.armed).toBe(0);
        },
      ),
    );
  });

  it('shows what arrives to the step that is planned on the same nanosecond', () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    for (const name of ['sample', 'engine', 'stepDone', 'deadline', 'arrival', 'fault'] as const)
      clock.at(5, PRIORITY[name], recorder(ran, name));
    clock.run();
    expect(ran).toEqual(['fault@5', 'arrival@5', 'deadline@5', 'stepDone@5', 'engine@5', 'sample@5']);
  });

  it('refuses a task before now', () => {
    const clock = new VirtualClock();
    const refused: unknown[] = [];
    clock.at(10, 0, {
      run: (timeNs) => {
        try {
          clock.at(timeNs - 1, 0, recorder([], 'late'));
        } catch (error) {
          refused.push(error);
        }
      },
    });
    clock.run();
    expect(refused).toEqual([new RangeError('task armed for 9 ns, before now (10 ns)')]);
    expect(clock.armed).toBe(0);
  });

  it('refuses a time that is no number', () => {
    expect(() => new VirtualClock().at(Number.NaN, 0, recorder([], 'a'))).toThrow(RangeError);
  });

  it('never runs a task before `at` has returned, even for now', () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.at(0, 0, {
      run: (timeNs) => {
        clock.at(timeNs, 0, recorder(ran, 'inner'));
        ran.push('outer is over');
      },
    });
    clock.run();
    expect(ran).toEqual(['outer is over', 'inner@0']);
  });

  it('stops before the first task after `untilNs` and goes on from there', () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.at(3, 0, recorder(ran, 'c'));
    clock.at(2, 0, recorder(ran, 'b'));
    clock.at(1, 0, recorder(ran, 'a'));
    clock.run(2);
    expect(ran).toEqual(['a@1', 'b@2']);
    expect([clock.nowNs(), clock.nextNs(), clock.armed]).toEqual([2, 3, 1]);
    clock.run();
    expect(ran).toEqual(['a@1', 'b@2', 'c@3']);
    expect(clock.nextNs()).toBe(Number.POSITIVE_INFINITY);
  });

  it('returns after the task that calls `stop`, and the rest stays armed', () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.at(1, 0, { run: () => clock.stop() });
    clock.at(2, 0, recorder(ran, 'later'));
    clock.run();
    expect([ran, clock.armed]).toEqual([[], 1]);
    clock.run();
    expect(ran).toEqual(['later@2']);
  });
});
