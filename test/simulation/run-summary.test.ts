import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/core/index.ts';
import { type RecordedRun, RunRecorder } from '../../src/simulation/run-recorder.ts';
import { type RunContext, summarise } from '../../src/simulation/run-summary.ts';
import type { Target } from '../../src/simulation/targets.ts';
import { finishedSequence, REJECTED } from './finished-sequence.ts';

const CONTEXT: RunContext = {
  scenario: 'test',
  seed: 42,
  wallSeconds: 0.5,
  targets: [],
  gpuComputeUtilization: null,
  timing: { model: 'roofline', device: 'H100-SXM-80GB', host: 'twinfer', extrapolations: [] },
  server: null,
};

function run(finish: (recorder: RunRecorder) => void): RecordedRun {
  const gauges = { blocksTotal: 100, blocksUsed: () => 50, blocksCached: () => 5 };
  const recorder = new RunRecorder({ gauges, digest: 'records', records: null });
  recorder.attach(new Int32Array(8 * 16), 16);
  finish(recorder);
  return recorder.finish();
}

const oneCompleted = (): RecordedRun =>
  run((recorder) => {
    recorder.received(finishedSequence(), 1e9);
    recorder.finished(finishedSequence(), 2e9);
  });

/** Every key with the kind of its value, in order. */
function keysOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, keysOf(inner)]));
}

describe('summarise', () => {
  it('has exactly the documented keys, in their order', () => {
    const summary = summarise(oneCompleted(), CONTEXT);
    expect(Object.keys(summary)).toEqual(
      'scenario,seed,digest,timing,wallSeconds,simulatedSeconds,requestsPerWallSecond,steps,sequenceSteps,requests,tokens,latencySeconds,throughput,kv,preemptions,capacity,prediction,books'.split(
        ',',
      ),
    );
    expect(JSON.stringify(keysOf(summary), null, 1)).toMatchInlineSnapshot(`
      "{
       "scenario": "string",
       "seed": "number",
       "digest": "string",
       "timing": {
        "model": "string",
        "device": "string",
        "host": "string",
        "extrapolations": "object"
       },
       "wallSeconds": "number",
       "simulatedSeconds": "number",
       "requestsPerWallSecond": "number",
       "steps": "number",
       "sequenceSteps": "number",
       "requests": {
        "injected": "number",
        "completed": "number",
        "rejected": "number",
        "aborted": "number",
        "timedOut": "number",
        "failed": "number"
       },
       "tokens": {
        "prompt": "number",
        "cachedPrompt": "number",
        "recomputedPrompt": "number",
        "scheduledPrompt": "number",
        "output": "number"
       },
       "latencySeconds": {
        "ttft": {
         "mean": "number",
         "p50": "number",
         "p90": "number",
         "p95": "number",
         "p99": "number",
         "max": "number"
        },
        "tpot": {
         "mean": "number",
         "p50": "number",
         "p90": "number",
         "p95": "number",
         "p99": "number",
         "max": "number"
        },
        "itl": {
         "mean": "object",
         "p50": "object",
         "p90": "object",
         "p95": "object",
         "p99": "object",
         "max": "object"
        },
        "e2e": {
         "mean": "number",
         "p50": "number",
         "p90": "number",
         "p95": "number",
         "p99": "number",
         "max": "number"
        },
        "queue": {
         "mean": "number",
         "p50": "number",
         "p90": "number",
         "p95": "number",
         "p99": "number",
         "max": "number"
        }
       },
       "throughput": {
        "requestsPerSecond": "number",
        "outputTokensPerSecond": "number",
        "totalTokensPerSecond": "number"
       },
       "kv": {
        "blocksTotal": "number",
        "blocksUsedPeak": "number",
        "prefixHitRatio": "number",
        "evictions": "number"
       },
       "preemptions": {
        "memoryPressure": "number",
        "priority": "number"
       },
       "capacity": "object",
       "prediction": "object",
       "books": {
        "balanced": "boolean",
        "recomputedOutput": "number",
        "unfinishedPrompts": {
         "sequences": "number",
         "prompt": "number",
         "cachedPrompt": "number",
         "recomputedPrompt": "number",
         "scheduledPrompt": "number"
        }
       }
      }"
    `);
  });

  it('turns nanoseconds into seconds and counts into rates of simulated time', () => {
    const summary = summarise(oneCompleted(), CONTEXT);
    expect(summary.simulatedSeconds).toBe(2);
    expect(summary.latencySeconds.ttft.p99).toBeCloseTo(0.05, 12);
    expect(summary.throughput).toEqual({
      requestsPerSecond: 0.5,
      outputTokensPerSecond: 5.5,
      totalTokensPerSecond: 55.5,
    });
    expect(summary.kv.prefixHitRatio).toBe(0.32);
    expect(summary.requestsPerWallSecond).toBe(2);
  });

  it('says null, not NaN, of a run in which nothing happened', () => {
    const summary = summarise(
      run(() => {}),
      CONTEXT,
    );
    expect(JSON.stringify(summary)).not.toContain('NaN');
    expect(summary.latencySeconds.itl.mean).toBeNull();
    expect(summary.kv.prefixHitRatio).toBeNull();
    expect(summary.throughput.requestsPerSecond).toBe(0);
  });

  it('refuses books with a request that has not ended', () => {
    const open = run((recorder) => recorder.received(finishedSequence(), 1e9));
    expect(() => summarise(open, CONTEXT)).toThrow(InvariantError);
    expect(() => summarise(open, CONTEXT)).toThrow(/1 injected, but 0 ended/);
  });

  it('refuses books with a request that ended twice', () => {
    const twice = run((recorder) => {
      recorder.received(finishedSequence(), 1e9);
      recorder.finished(finishedSequence(), 2e9);
      recorder.finished(finishedSequence(), 2e9);
    });
    expect(() => summarise(twice, CONTEXT)).toThrow(/every request ends once/);
  });

  it('refuses books in which prompt tokens are lost, and names the request', () => {
    const lost = run((recorder) => {
      const sequence = finishedSequence({ id: 9, scheduledPromptTokens: 67 });
      recorder.received(sequence, 1e9);
      recorder.finished(sequence, 2e9);
    });
    expect(() => summarise(lost, CONTEXT)).toThrow(/no prompt token is lost.*request 9/);
  });

  it('is not fooled by two errors that cancel out', () => {
    const lost = run((recorder) => {
      for (const [id, scheduledPromptTokens] of [
        [1, 67],
        [2, 69],
      ] as const) {
        const sequence = finishedSequence({ id, scheduledPromptTokens });
        recorder.received(sequence, 1e9);
        recorder.finished(sequence, 2e9);
      }
    });
    expect(() => summarise(lost, CONTEXT)).toThrow(/2 sequences/);
  });

  it('keeps prompts that were not finished apart, and recomputed tokens in the law', () => {
    const books = run((recorder) => {
      const all = [
        finishedSequence({ id: 1, recomputedPromptTokens: 30, scheduledPromptTokens: 98, recomputedOutputTokens: 4 }),
        finishedSequence({ id: 2 }, REJECTED),
        finishedSequence({ id: 3, finishReason: 'abort', admittedNs: 1e9, scheduledPromptTokens: 64 }, REJECTED),
      ];
      recorder.received(all[0]!, 1e9);
      recorder.rejected(all[1]!.request, 'queue-full', 1e9);
      recorder.received(all[2]!, 1e9);
      for (const sequence of all) recorder.finished(sequence, 2e9);
    });
    const { tokens, books: kept } = summarise(books, CONTEXT);
    expect(tokens).toEqual({
      prompt: 100,
      cachedPrompt: 32,
      recomputedPrompt: 30,
      scheduledPrompt: 98,
      output: 11,
    });
    expect(kept.recomputedOutput).toBe(4);
    expect(kept.unfinishedPrompts).toEqual({
      sequences: 2,
      prompt: 200,
      cachedPrompt: 0,
      recomputedPrompt: 0,
      scheduledPrompt: 64,
    });
  });
});

describe('targets', () => {
  const of = (target: Partial<Target>): unknown =>
    summarise(oneCompleted(), {
      ...CONTEXT,
      targets: [{ metric: 'ttft', statistic: null, above: null, below: null, ...target } as Target],
    }).targets?.[0];

  it.each<[Partial<Target>, string, string, number | null, boolean]>([
    [{ metric: 'ttft', statistic: 'p99', below: 0.2 }, 'ttft p99', '< 0.2 s', 0.05, true],
    [{ metric: 'ttft', statistic: 'p99', below: 0.05 }, 'ttft p99', '< 0.05 s', 0.05, false],
    [{ metric: 'itl', statistic: 'mean', below: 1 }, 'itl mean', '< 1 s', null, false],
    [{ metric: 'prefix_hit_ratio', above: 0.3 }, 'prefix_hit_ratio', '> 0.3', 0.32, true],
    [{ metric: 'kv_utilization_peak', above: 0.7, below: 0.9 }, 'kv_utilization_peak', '> 0.7 and < 0.9', 0.5, false],
    [{ metric: 'completed_ratio', above: 0.99 }, 'completed_ratio', '> 0.99', 1, true],
    [{ metric: 'error_ratio', below: 0.01 }, 'error_ratio', '< 0.01', 0, true],
    [{ metric: 'output_tokens_per_second', above: 5 }, 'output_tokens_per_second', '> 5', 5.5, true],
    [{ metric: 'preemptions_per_minute', below: 1 }, 'preemptions_per_minute', '< 1', 0, true],
    [{ metric: 'speculation_acceptance_ratio', above: 0.7 }, 'speculation_acceptance_ratio', '> 0.7', null, false],
    [{ metric: 'gpu_compute_utilization', above: 0.7 }, 'gpu_compute_utilization', '> 0.7', null, false],
  ])('%o', (target, name, wanted, actual, pass) => {
    expect(of(target)).toEqual({ name, target: wanted, actual, pass });
  });
});
