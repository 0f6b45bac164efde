import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacedClock, SystemClock, type WallTime } from '../../src/backends/wall-clocks.ts';
import { type Clock, type DrivenClock, PRIORITY, VirtualClock } from '../../src/core/index.ts';

/** A wall clock that stands until it is moved, and what it was told of lateness. */
class Wall implements WallTime {
  readonly kind = 'wall';
  readonly scale: number;
  readonly lateNs: number[] = [];
  ns: number;

  constructor(scale = 1, ns = 0) {
    this.scale = scale;
    this.ns = ns;
  }

  readonly nowNs = () => this.ns;
  readonly late = (lateNs: number) => {
    this.lateNs.push(lateNs);
  };
}

/** A chain of tasks, each `stepNs` of engine time after the one before; says when each saw itself. */
function chain(clock: Clock, stepNs: number, count: number): number[] {
  const seen: number[] = [];
  const task = {
    run(nowNs: number) {
      seen.push(nowNs);
      if (seen.length < count) clock.at(nowNs + stepNs, PRIORITY.stepDone, task);
    },
  };
  clock.at(stepNs, PRIORITY.stepDone, task);
  return seen;
}

function runAllDue(clock: DrivenClock): void {
  while (clock.runDue());
}

describe('the paced clock', () => {
  it('runs a task when the wall clock has come to its time, not before', () => {
    const wall = new Wall(1, 5e9);
    const clock = new PacedClock(wall);
    chain(clock, 10e6, 3);
    expect(clock.runDue()).toBe(false);
    expect(clock.untilNextNs()).toBe(10e6);
    wall.ns += 10e6;
    expect(clock.runDue()).toBe(true);
    expect(clock.nowNs()).toBe(10e6);
    expect(clock.runDue()).toBe(false);
  });

  it('lets no lateness add up: tasks see their own time', () => {
    const wall = new Wall();
    const clock = new PacedClock(wall);
    const seen = chain(clock, 1e6, 1000);
    for (let i = 0; i < 1000; i++) {
      wall.ns = (i + 1) * 1e6 + 300_000; // always 0.3 ms late
      runAllDue(clock);
    }
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => (i + 1) * 1e6));
    expect(new Set(wall.lateNs)).toEqual(new Set([300_000]));
  });

  it('scales: a tenth runs ten times as fast', () => {
    const wall = new Wall(0.1);
    const clock = new PacedClock(wall);
    const seen = chain(clock, 10e6, 50);
    wall.ns = 20e6;
    runAllDue(clock);
    expect(seen.length).toBe(20);
    expect(clock.durationNs(1e6)).toBe(10e6);
  });

  it('stamps an event from outside with the time of the wall, between the tasks around it', () => {
    const wall = new Wall();
    const clock = new PacedClock(wall);
    const seen = chain(clock, 10e6, 5);
    wall.ns = 14e6;
    runAllDue(clock);
    const stamps: number[] = [];
    const note = { run: (nowNs: number) => stamps.push(nowNs) };
    clock.runNow(note);
    expect(stamps).toEqual([14e6]);
    wall.ns = 35e6; // the task of 20 ms is due and has not run: nothing from outside comes before its end
    clock.runNow(note);
    expect(stamps).toEqual([14e6, 20e6]);
    runAllDue(clock);
    expect(seen).toEqual([10e6, 20e6, 30e6]);
  });

  it('does not run after hours of sleep: the time is set anew', () => {
    const wall = new Wall();
    const clock = new PacedClock(wall);
    const seen = chain(clock, 10e6, 1000);
    wall.ns = 3600e9;
    runAllDue(clock);
    expect(seen.length).toBe(1);
    wall.ns += 10e6;
    runAllDue(clock);
    expect(seen.length).toBe(2);
  });
});

describe("the system's clock", () => {
  it('shows the time of the wall, inside tasks as well', () => {
    const wall = new Wall(1, 7e9);
    const clock = new SystemClock(wall);
    wall.ns += 25;
    expect(clock.nowNs()).toBe(25);
    let inside = -1;
    clock.at(20, PRIORITY.stepDone, { run: () => (inside = clock.nowNs()) });
    expect(clock.untilNextNs()).toBe(0);
    expect(clock.runDue()).toBe(true);
    expect(inside).toBe(25);
    expect(wall.lateNs).toEqual([5]);
  });
});

/** Tasks by time, priority and order of arming, whichever clock: the wall moves by random steps between the looks. */
describe('every driven clock', () => {
  const clocks: readonly (readonly [name: string, make: (wall: Wall) => DrivenClock])[] = [
    ['virtual', () => new VirtualClock()],
    ['paced', (wall) => new PacedClock(wall)],
    ["the system's", (wall) => new SystemClock(wall)],
  ];
  const priorities = Object.values(PRIORITY);

  it.each(clocks)('%s: runs each task once, in order, and waits for nothing that is not armed', (_name, make) => {
    const task = fc.record({ afterNs: fc.integer({ min: 0, max: 1000 }), priority: fc.constantFrom(...priorities) });
    const moves = fc.array(fc.record({ tasks: fc.array(task, { maxLength: 5 }), wallNs: fc.nat(800) }), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(moves, (steps) => {
        const wall = new Wall();
        const clock = make(wall);
        const ran: (readonly [timeNs: number, priority: number, order: number])[] = [];
        let armed = 0;
        for (const { tasks, wallNs } of steps) {
          const batch = ran.length;
          for (const { afterNs, priority } of tasks) {
            const order = armed++;
            clock.at(clock.nowNs() + afterNs, priority, { run: (timeNs) => ran.push([timeNs, priority, order]) });
          }
          wall.ns += wallNs;
          runAllDue(clock);
          const inOrder = ran.slice(batch).sort(([a, p, i], [b, q, j]) => a - b || p - q || i - j);
          expect(ran.slice(batch)).toEqual(inOrder);
          expect(clock.untilNextNs()).toBeGreaterThan(0);
        }
        while (clock.untilNextNs() < Number.POSITIVE_INFINITY) {
          wall.ns += clock.untilNextNs();
          runAllDue(clock);
        }
        expect(ran.length).toBe(armed);
        expect(clock.runDue()).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});
