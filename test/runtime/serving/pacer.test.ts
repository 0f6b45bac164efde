import { describe, expect, it } from 'vitest';
import { PRIORITY, VirtualClock } from '../../../src/core/index.ts';
import { Pacer } from '../../../src/runtime/serving/pacer.ts';

/** A chain of tasks, each `stepNs` of engine time after the one before; says when each saw itself. */
function chain(clock: VirtualClock, stepNs: number, count: number): number[] {
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

describe('the pacer', () => {
  it('runs a task when the wall clock has come to its time, not before', () => {
    const clock = new VirtualClock();
    let wall = 5e9;
    const pacer = new Pacer(clock, 1, () => wall);
    chain(clock, 10e6, 3);
    expect(pacer.runDue()).toBe(false);
    expect(pacer.untilNextNs()).toBe(10e6);
    wall += 10e6;
    expect(pacer.runDue()).toBe(true);
    expect(clock.nowNs()).toBe(10e6);
    expect(pacer.runDue()).toBe(false);
  });

  it('lets no lateness add up: tasks see their own time', () => {
    const clock = new VirtualClock();
    let wall = 0;
    const pacer = new Pacer(clock, 1, () => wall);
    const seen = chain(clock, 1e6, 1000);
    for (let i = 0; i < 1000; i++) {
      wall = (i + 1) * 1e6 + 300_000; // always 0.3 ms late
      while (pacer.runDue());
    }
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => (i + 1) * 1e6));
    expect(pacer.lastErrorNs).toBe(300_000);
    expect(pacer.errorP99Ns).toBeGreaterThanOrEqual(300_000);
    expect(pacer.errorP99Ns).toBeLessThan(310_000);
  });

  it('scales: a tenth runs ten times as fast', () => {
    const clock = new VirtualClock();
    let wall = 0;
    const pacer = new Pacer(clock, 0.1, () => wall);
    const seen = chain(clock, 10e6, 50);
    wall = 20e6;
    while (pacer.runDue());
    expect(seen.length).toBe(20);
    expect(pacer.engineNs(1e6)).toBe(10e6);
  });

  it('does not wait at scale 0', () => {
    const clock = new VirtualClock();
    const pacer = new Pacer(clock, 0, () => 0);
    const seen = chain(clock, 10e6, 50);
    expect(pacer.untilNextNs()).toBe(0);
    while (pacer.runDue());
    expect(seen.length).toBe(50);
    expect(pacer.untilNextNs()).toBe(Number.POSITIVE_INFINITY);
  });

  it('stamps what comes from outside with the time of the wall, between the tasks around it', () => {
    const clock = new VirtualClock();
    let wall = 0;
    const pacer = new Pacer(clock, 1, () => wall);
    const seen = chain(clock, 10e6, 5);
    wall = 14e6;
    while (pacer.runDue());
    const stamps: number[] = [];
    const note = { run: (nowNs: number) => stamps.push(nowNs) };
    pacer.runNow(note);
    expect(stamps).toEqual([14e6]);
    wall = 35e6; // the task of 20 ms is due and has not run: nothing from outside comes before its end
    pacer.runNow(note);
    expect(stamps).toEqual([14e6, 20e6]);
    while (pacer.runDue());
    expect(seen).toEqual([10e6, 20e6, 30e6]);
  });

  it('does not run after hours of sleep: the time is set anew', () => {
    const clock = new VirtualClock();
    let wall = 0;
    const pacer = new Pacer(clock, 1, () => wall);
    const seen = chain(clock, 10e6, 1000);
    wall = 3600e9;
    while (pacer.runDue());
    expect(seen.length).toBe(1);
    wall += 10e6;
    while (pacer.runDue());
    expect(seen.length).toBe(2);
  });
});
