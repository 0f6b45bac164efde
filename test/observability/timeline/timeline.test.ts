import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineConfig } from '../../../src/core/index.ts';
import { PerfettoExport, TimelineRecorder } from '../../../src/observability/timeline/index.ts';
import { type LoggedRequest, type LoggedRun, type LoggedRunOptions, loggedRun } from '../logged-engine.ts';
import { orders, schedules } from '../pressed-schedules.ts';
import { type ReadTrace, readTrace, requestSlices } from './read-trace.ts';

const SMALL: Partial<EngineConfig> = {
  blockSize: 4,
  blocksTotal: 64,
  sequencesMax: 4,
  tokensPerStepMax: 16,
  modelLenMax: 128,
};

interface TraceOptions {
  readonly rows?: 'all' | 'prefill';
  readonly fromNs?: number;
  readonly toNs?: number;
  readonly chunkWords?: number;
}

/** Runs requests with a recorder and reads what it leaves. */
function traced(run: LoggedRunOptions, options: TraceOptions = {}): { run: LoggedRun; trace: ReadTrace } {
  let text = '';
  let recorder: TimelineRecorder | null = null;
  const exported = new PerfettoExport({ write: (chunk) => (text += chunk) });
  const done = loggedRun({
    ...run,
    listener: (engine) => {
      recorder = new TimelineRecorder({
        rows: 'prefill',
        ...options,
        engine,
        sink: (words, length) => {
          exported.take(words, length);
          return words;
        },
      });
      return recorder;
    },
  });
  recorder!.close(done.endNs);
  exported.close();
  return { run: done, trace: readTrace(text) };
}

const one = (promptTokens: number, outputTokensMax: number, more: Partial<LoggedRequest> = {}): LoggedRequest => ({
  arrivalNs: 0,
  stream: 1,
  promptTokens,
  outputTokensMax,
  ...more,
});

/** Phases of a request: name, start and end in steps of 1,000 ns. */
const phases = (trace: ReadTrace, request: string) =>
  requestSlices(trace)
    .get(request)!
    .flatMap((slice) => slice.children.map(({ name, start, end }) => [name, start, end]));

describe('a timeline', () => {
  it('shows the chunks of a prompt, decode, and how the request ended', () => {
    const { trace } = traced({ config: SMALL, requests: [one(20, 10)] });
    expect(phases(trace, '0')).toEqual([
      ['prefill', 0, 1],
      ['prefill', 1, 2],
      ['decode', 2, 11],
    ]);
    const [slice] = requestSlices(trace).get('0')!;
    expect(slice).toMatchObject({ start: 0, end: 11 });
    expect(slice!.args).toMatchObject({
      prompt_tokens: 20,
      finish_reason: 'length',
      ttft_ms: 0.002,
      output_tokens: 10,
    });
  });

  it('shows who waits, and for how long', () => {
    const { trace } = traced({
      config: { ...SMALL, sequencesMax: 1 },
      requests: [one(4, 4), one(4, 4, { stream: 2 })],
    });
    expect(phases(trace, '1')[0]).toEqual(['queued', 0, 4]);
    const [step] = trace.tracks.get('engine/steps')!;
    expect(step!.args).toMatchObject({ waiting: 1, running: 1, head: '1', head_waits_for: 'sequences' });
  });

  it.each([
    ['recompute', 'preempted', 'recompute'],
    ['swap', 'swapped', 'recompute'],
  ] as const)('shows a preemption with %s, for whom, and the way back', (preemption, away, back) => {
    const requests = [1, 2].map((stream) => one(8, 16, { stream }));
    const config = { ...SMALL, blocksTotal: 8, capacity: 'as-needed', victim: 'tail', preemption } as const;
    const { trace } = traced({ config: { ...config, hostBlocksTotal: 8 }, requests });
    const names = phases(trace, '1').map(([name]) => name);
    expect(names).toEqual(expect.arrayContaining(['prefill', 'decode', away, back]));
    const [preempted] = trace.events.filter((event) => event.ph === 'i');
    expect(preempted!.args).toMatchObject({ reason: 'memory_pressure', made_room_for: '0' });
  });

  it('gives every row of every step when asked: requests and their lengths', () => {
    const { trace } = traced({ config: SMALL, requests: [one(8, 3), one(6, 2, { stream: 2 })] }, { rows: 'all' });
    const rows = trace.tracks.get('engine/steps')!.map(({ args }) => [args['requests'], args['sequence_lengths']]);
    expect(rows).toEqual([
      [
        ['0', '1'],
        [8, 6],
      ],
      [
        ['0', '1'],
        [9, 7],
      ],
      [['0'], [10]],
    ]);
  });

  it('of a window holds what happens in it, and those who were there before', () => {
    const requests = [one(8, 20), one(8, 20, { arrivalNs: 6500, stream: 2 }), one(8, 4, { arrivalNs: 90_000 })];
    const { trace } = traced({ config: SMALL, requests }, { fromNs: 5000, toNs: 12_500 });
    expect([...requestSlices(trace).keys()].sort()).toEqual(['0', '1']);
    expect(phases(trace, '0')).toEqual([['decode', 5, 12.5]]);
    expect(requestSlices(trace).get('0')![0]!.args).toMatchObject({ goes_on: true, arrived_before_ms: 0.005 });
    expect(trace.about).toMatchObject({ from_seconds: 5e-6, to_seconds: 12.5e-6, sequences: 2, finished_sequences: 0 });
    for (const slice of trace.tracks.get('engine/steps')!) expect(slice.start).toBeGreaterThanOrEqual(5);
  });

  it('is whole, in order and without overlaps, and its sums are the books of the engine, whatever happens', () => {
    const options = fc.record({
      rows: fc.constantFrom('all' as const, 'prefill' as const),
      chunkWords: fc.constantFrom(1, 1 << 16),
    });
    fc.assert(
      fc.property(schedules, options, (schedule, how) => {
        const { run, trace } = traced(orders(schedule), how);
        const { totals, scheduler } = run.engine;
        expect(trace.about).toMatchObject({
          complete: true,
          steps: totals.steps,
          submissions: totals.submissions + totals.failedSubmissions,
          failed_submissions: totals.failedSubmissions,
          prefill_tokens: totals.prefillTokens,
          decode_tokens: totals.decodeTokens,
          preemptions: scheduler.preemptionsMemory + scheduler.preemptionsPriority,
        });
        const refused = trace.about['rejected_requests'] as number;
        const admitted = schedule.requests.reduce((sum, { n }) => sum + n, 0) - totals.rejected;
        expect(trace.about).toMatchObject({ sequences: admitted, finished_sequences: admitted });
        const slices = requestSlices(trace);
        expect(slices.size).toBe(admitted);
        expect(new Set([...slices.keys()].map((name) => name.split('.')[0])).size).toBe(
          schedule.requests.length - refused,
        );
        for (const [at] of [...(trace.counters.get('KV blocks.used') ?? [])].entries()) {
          const sum = ['used', 'cached', 'free'].map((name) => trace.counters.get(`KV blocks.${name}`)![at]![1]);
          expect(sum.reduce((a, b) => a + b)).toBe(run.engine.config.blocksTotal);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('of any window is whole, in order and without overlaps', () => {
    const window = fc.tuple(fc.nat(40_000), fc.nat(40_000), fc.boolean());
    fc.assert(
      fc.property(schedules, window, (schedule, [from, length, all]) => {
        const options = { fromNs: from, toNs: from + length, rows: all ? ('all' as const) : ('prefill' as const) };
        const { trace } = traced(orders(schedule), options);
        for (const slices of trace.tracks.values())
          for (const { start, end } of slices) {
            expect(start).toBeGreaterThanOrEqual(from / 1000);
            expect(end).toBeLessThanOrEqual((from + length) / 1000 + 1e-4);
          }
      }),
      { numRuns: 200 },
    );
  });
});
