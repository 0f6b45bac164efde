import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/core/index.ts';
import { EventFanout, PRIORITY } from '../../src/core/index.ts';
import { type AuditReport, auditBlocks } from '../../src/observability/index.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import type { RunObserver, RunSpec } from '../../src/runtime/run-spec.ts';
import { ran, scenario } from './scenarios.ts';

/** Audits every second of a run; also returns the engine, idle. */
async function audited(spec: RunSpec): Promise<{ reports: AuditReport[]; engine: Engine }> {
  const reports: AuditReport[] = [];
  let audited: Engine | null = null;
  const observer: RunObserver = {
    events: new EventFanout([]),
    attach(engine, clock, ended) {
      audited = engine;
      const task = {
        run(nowNs: number) {
          reports.push(auditBlocks(engine));
          if (!ended()) clock.at(nowNs + 1e9, PRIORITY.sample, task);
        },
      };
      clock.at(0, PRIORITY.sample, task);
    },
  };
  await runSimulation(spec, { observers: [observer] });
  return { reports, engine: audited! };
}

describe('kv-leak', () => {
  it('is found by the audit from then on, stays when the engine is idle, and by nothing before', async () => {
    const { reports, engine } = await audited(scenario({ faults: '[{kind: kv-leak, at: 5500ms, blocks: 37}]' }));
    const before = reports.filter((report) => report.timeNs < 5.5e9);
    const after = reports.filter((report) => report.timeNs > 5.5e9);
    expect(before.length).toBeGreaterThan(3);
    expect(before.every((report) => report.orphaned === 0 && report.findings.length === 0)).toBe(true);
    expect(after.length).toBeGreaterThan(10);
    expect(after.every((report) => report.orphaned === 37 && report.mismatched === 0)).toBe(true);
    expect(engine.idle).toBe(true);
    expect(engine.kv.pool.used).toBe(37);
  });

  it('that comes when all is done does not prolong the run', async () => {
    const { engine } = await audited(scenario({ faults: '[{kind: kv-leak, at: 10h, blocks: 37}]' }));
    expect(engine.clock.nowNs()).toBeLessThan(3600e9);
    expect(engine.kv.pool.used).toBe(0);
  });
});

describe('slow-host', () => {
  it('makes scheduling slower in its window and leaves the rest alone', async () => {
    const plain = await ran(scenario());
    const slow = await ran(scenario({ faults: '[{kind: slow-host, from: 5s, to: 10s, factor: 1000}]' }));
    const [before, during] = [plain, slow].map((outcome) => outcome.run.latencyNs.schedulerIteration);
    expect(during!.p50).toBeLessThan(10 * before!.p50!);
    expect(during!.max).toBeGreaterThan(500 * before!.p50!);
  });

  it('is the same run step by step and in runs of steps', async () => {
    const sections = {
      engine: '{fast_forward: false}',
      faults: '[{kind: slow-host, from: 5s, to: 10s, factor: 1000}, {kind: hang, from: 12s, to: 13s}]',
    };
    const single = await ran(scenario(sections, { output: { digest: 'steps' } }));
    const runs = await ran(scenario({ faults: sections.faults }, { output: { digest: 'steps' } }));
    expect(runs.summary.digest).toBe(single.summary.digest);
    expect(runs.run.submissions).toBeLessThan(single.run.submissions);
  });
});

describe('hang', () => {
  it('lets no step end in its window, and what waited goes on behind it', async () => {
    const ends: number[] = [];
    const observer: RunObserver = {
      events: Object.assign(new EventFanout([]), {
        stepFinished: (_plan: unknown, _result: unknown, _startNs: number, endNs: number) => ends.push(endNs),
      }),
      singleSteps: true,
      attach() {},
    };
    const outcome = await runSimulation(scenario({ faults: '[{kind: hang, from: 6s, to: 16s}]' }), {
      observers: [observer],
    });
    expect(ends.filter((ns) => ns >= 6e9 && ns < 16e9)).toEqual([]);
    expect(ends).toContain(16e9);
    expect(outcome.summary.requests.completed).toBe(outcome.summary.requests.injected);
  });
});
