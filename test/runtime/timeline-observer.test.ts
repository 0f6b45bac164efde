import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import type { RunSpec } from '../../src/runtime/run-spec.ts';
import { TimelineObserver } from '../../src/runtime/timeline-observer.ts';
import { capturedCli } from '../cli/captured-cli.ts';
import { readTrace, requestSlices } from '../observability/timeline/read-trace.ts';
import { CHAT, scenario, scratch } from './scenarios.ts';

const folder = scratch();
let next = 0;
const fresh = (name: string) => join(folder, `${next++}${name}`);

const RUSH = `{kind: generated, arrivals: {process: poisson, requests_per_second: 30}, content: ${CHAT}, timeout: 2s}`;
const TIGHT = '{num_gpu_blocks: 600, admission_policy: as-needed, watermark: 0, max_num_waiting: 20}';
const FAULTS = '[{kind: sticky, at: 6s}, {kind: slow, from: 8s, to: 10s, factor: 3}]';
const rush = () => scenario({ workload: RUSH, engine: TIGHT, faults: FAULTS });

type Window = { readonly startNs: number; readonly endNs: number };

async function traced(spec: RunSpec, window: Window | null = null, path = fresh('.json')) {
  const observer = new TimelineObserver({ path, window, about: { scenario: spec.scenario } });
  try {
    const outcome = await runSimulation(spec, { observers: [observer] });
    const bytes = readFileSync(path);
    const text = path.endsWith('.gz') ? gunzipSync(bytes).toString() : bytes.toString();
    return { outcome, trace: readTrace(text) };
  } finally {
    observer.abandon();
  }
}

describe('the timeline of a simulated run', () => {
  it('changes nothing that the run decides, and sums up to its summary', async () => {
    const alone = await runSimulation(rush());
    const { outcome, trace } = await traced(rush());
    expect(outcome.summary.digest).toBe(alone.summary.digest);
    const { run } = outcome;
    expect(run.preemptions.memoryPressure).toBeGreaterThan(0);
    expect(trace.about).toMatchObject({
      complete: true,
      scenario: 'test',
      steps: run.steps,
      submissions: run.submissions,
      failed_submissions: run.failedSubmissions,
      preemptions: run.preemptions.memoryPressure + run.preemptions.priority,
      rejected_requests: run.requests.rejected,
      sequences: run.requests.injected - run.requests.rejected,
      finished_sequences: run.requests.injected - run.requests.rejected,
    });
    expect(requestSlices(trace).size).toBe(run.requests.injected - run.requests.rejected);
  });

  it('has every step on the track of steps, one behind the other, and runs of steps as one slice', async () => {
    const { outcome, trace } = await traced(scenario());
    const slices = trace.tracks.get('engine/steps')!;
    expect(slices.length).toBe(outcome.run.submissions);
    const steps = slices.reduce((sum, { args }) => sum + (args['steps'] as number), 0);
    expect(steps).toBe(outcome.run.steps);
    expect(slices.at(-1)!.end).toBeCloseTo(outcome.run.simulatedNs / 1000, 3);
    expect(trace.tracks.get('engine/scheduler')!.length).toBeGreaterThan(0);
    expect(trace.tracks.get('engine/device')!.length).toBe(slices.length);
  });

  it('is gzip when its name ends in .gz, with the same text', async () => {
    const plain = await traced(scenario());
    const packed = await traced(scenario(), null, fresh('.json.gz'));
    expect(packed.trace.events).toEqual(plain.trace.events);
  });

  it('of a window holds that part, and whoever was there when it began', async () => {
    const whole = await traced(rush());
    const { trace } = await traced(rush(), { startNs: 5e9, endNs: 7e9 });
    const steps = trace.tracks.get('engine/steps')!;
    expect(steps[0]!.start).toBeGreaterThanOrEqual(5e6);
    expect(steps.at(-1)!.end).toBeLessThanOrEqual(7e6);
    const there = [...requestSlices(whole.trace)].filter(([, all]) => all[0]!.start < 7e6 && all[0]!.end > 5e6);
    expect([...requestSlices(trace).keys()].sort()).toEqual(there.map(([name]) => name).sort());
  });

  it('shows the steps of a window that lies inside one run of steps', async () => {
    const lengths = 'prompt_tokens: 64, output_tokens: 2000';
    const arrivals = '{process: poisson, requests_per_second: 1}';
    const lone = `{kind: generated, arrivals: ${arrivals}, content: {kind: independent, ${lengths}}}`;
    const spec = scenario({ workload: lone, limits: '{requests: 1}' });
    const { trace: all } = await traced(spec);
    const [life] = requestSlices(all).get('0')!;
    const middleNs = 500 * (life!.start + life!.end);
    const { trace } = await traced(spec, { startNs: middleNs, endNs: middleNs + 1e9 });
    const steps = trace.tracks.get('engine/steps')!.reduce((sum, { args }) => sum + (args['steps'] as number), 0);
    expect(steps).toBeGreaterThan(50);
    expect(steps).toBeLessThan(1000);
  });

  it('leaves nothing behind when the run fails', async () => {
    const path = fresh('.json');
    const observer = new TimelineObserver({ path, window: null, about: {} });
    const boom = {
      events: observer.events,
      attach: () => {
        throw new Error('asked for');
      },
    };
    await expect(runSimulation(scenario(), { observers: [observer, boom] })).rejects.toThrow('asked for');
    observer.abandon();
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
  });
});

describe('twinfer simulate --timeline', () => {
  it('writes the file and says so', async () => {
    const path = fresh('.json');
    const { code, stderr } = await capturedCli(
      ['simulate', 'llama-3.1-8b-h100', '--limit', '20', '--timeline', path],
      runSimulation,
    );
    expect([code, stderr]).toEqual([0, expect.stringContaining(`written: ${path}`)]);
    expect(readTrace(readFileSync(path, 'utf8')).about).toMatchObject({ sequences: 20, seed: 1 });
  });

  it.each([
    [['--timeline', '/no/such/folder/t.json'], '--timeline /no/such/folder/t.json: no such file or directory'],
    [['--timeline', 'src'], '--timeline src: is a directory, not a file'],
    [['--timeline-window', '1:2'], '--timeline-window: is allowed with --timeline FILE only'],
    [
      ['--timeline', 'x.json', '--timeline-window', '2:1'],
      '--timeline-window: "2:1" is not allowed; allowed: a START before END',
    ],
    [['--timeline', 'x.json', '--timeline-window', 'soon'], '--timeline-window: "soon" is not allowed'],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await capturedCli(
      ['simulate', 'llama-3.1-8b-h100', '--limit', '1', ...flags],
      runSimulation,
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(existsSync('x.json')).toBe(false);
  });
});
