import { describe, expect, it } from 'vitest';
import { ModelledHostTimer } from '../../src/backends/simulated/index.ts';
import type { HostPhase } from '../../src/core/index.ts';
import type { MetricsPage } from '../../src/observability/index.ts';
import { type MeteredRequest, type MeteredRunOptions, meteredRun } from './metered-run.ts';

const PHASES = ['collect_finished', 'allocate_running', 'admit_waiting', 'build_batch'] as const;

/** Costs by work alone, so that a phase without work costs nothing and all of the host's time is told of. */
const BY_WORK = {
  collect_finished: { fixedNs: 0, perWorkNs: 7 },
  allocate_running: { fixedNs: 0, perWorkNs: 11 },
  admit_waiting: { fixedNs: 0, perWorkNs: 13 },
  build_batch: { fixedNs: 0, perWorkNs: 17 },
};

const REQUESTS: MeteredRequest[] = Array.from({ length: 12 }, (_, i) => ({
  arrivalNs: i * 15e6,
  stream: i % 3,
  promptTokens: 20 + 37 * i,
  outputTokensMax: 10 + 9 * i,
  n: 1 + (i % 2),
}));

/** Buckets and sum of a phase's histogram, or of the whole iteration's. */
function cells(page: MetricsPage, phase?: HostPhase): number[] {
  const histogram =
    phase === undefined
      ? page.histogram('scheduler_iteration_latency_seconds')
      : page.histogram('scheduler_phase_latency_seconds', phase);
  const { at, bounds } = histogram as unknown as { at: number; bounds: Float64Array };
  return [...page.cells.subarray(at, at + bounds.length + 2)];
}

const sum = (all: readonly number[]) => all[all.length - 1]!;
const count = (all: readonly number[]) => all.slice(0, -1).reduce((a, b) => a + b, 0);

function run(options: Partial<MeteredRunOptions>) {
  return meteredRun({ requests: REQUESTS, hostTimer: new ModelledHostTimer(BY_WORK), sampleNs: 1e12, ...options });
}

describe('the profiled step', () => {
  it.each([
    ['one step in flight', {}],
    ['two steps in flight', { config: { stepsInFlight: 2 as const } }],
    ['a device that fails', { faults: [{ kind: 'transient' as const, atNs: 50e6, message: 'x' }] }],
  ])('%s: its four phases add up to the iterations', (_, options) => {
    const { page, engine } = run(options);
    const total = PHASES.reduce((ns, phase) => ns + sum(cells(page, phase)), 0);
    // What was collected last waits for a step that never comes.
    const last = sum(cells(page)) + (BY_WORK.collect_finished.perWorkNs * engine.config.sequencesMax) / 1e9;
    expect(total).toBeGreaterThanOrEqual(sum(cells(page)));
    expect(total).toBeLessThanOrEqual(last);
    for (const phase of PHASES) expect(count(cells(page, phase)), phase).toBeGreaterThan(0);
  });

  it('each step that ends is collected and was built, once', () => {
    const { page, engine } = run({});
    const { steps } = engine.totals;
    expect(count(cells(page, 'build_batch'))).toBe(steps);
    expect(count(cells(page, 'collect_finished'))).toBe(steps);
    expect(count(cells(page))).toBe(steps);
  });

  it('is the same in runs of steps and step by step', () => {
    const timer = () => new ModelledHostTimer();
    const runs = run({ hostTimer: timer() });
    const single = run({ hostTimer: timer(), runs: false });
    expect(runs.engine.totals.submissions).toBeLessThan(single.engine.totals.submissions);
    expect(runs.engine.clock.nowNs()).toBe(single.engine.clock.nowNs());
    for (const phase of [...PHASES, undefined]) {
      const [a, b] = [cells(runs.page, phase), cells(single.page, phase)];
      expect(a.slice(0, -1), phase ?? 'iteration').toEqual(b.slice(0, -1));
      expect(sum(a)).toBeCloseTo(sum(b), 12);
    }
  });
});

describe('a first token', () => {
  it("of the engine's first submission is dated at the end of its first step", () => {
    // One token of prompt: its first step is a decode step like all others, and might begin a run.
    const requests = [{ arrivalNs: 0, stream: 1, promptTokens: 1, outputTokensMax: 40 }];
    const firstTokens = (runs: boolean) => {
      const { page } = run({ requests, runs });
      const { at, bounds } = page.histogram('time_to_first_token_seconds') as unknown as {
        at: number;
        bounds: Float64Array;
      };
      return page.cells[at + bounds.length + 1]!;
    };
    expect(firstTokens(true)).toBe(firstTokens(false));
    expect(firstTokens(true)).toBeLessThan(0.02);
  });
});
