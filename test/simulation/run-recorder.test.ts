import { describe, expect, it } from 'vitest';
import { StepPlan, StepResult } from '../../src/core/index.ts';
import { bundledHostProfile } from '../../src/runtime/host-profile-file.ts';
import { Frontend } from '../../src/simulation/frontend.ts';
import { RequestRecords } from '../../src/simulation/report/request-records.ts';
import { RunRecorder } from '../../src/simulation/run-recorder.ts';
import { finishedSequence, REJECTED } from './finished-sequence.ts';

const SHAPE = { sequencesMax: 8, tokensPerStepMax: 64, draftTokensMax: 0, stepsMax: 32, tokenIds: false };

function recorder(records: RequestRecords | null = null): { recorder: RunRecorder; kv: { used: number } } {
  const kv = { used: 0 };
  const gauges = { blocksTotal: 100, blocksUsed: () => kv.used, blocksCached: () => 5 };
  const made = new RunRecorder({ gauges, digest: 'records', records });
  made.attach(new Int32Array(8 * 16), 16);
  return { recorder: made, kv };
}

function submission(rows: number, durationsNs: readonly number[]): { plan: StepPlan; result: StepResult } {
  const plan = new StepPlan(SHAPE);
  const result = new StepResult(SHAPE);
  plan.rows = rows;
  plan.decodeTokens = rows;
  plan.hostNs = 50_000;
  result.durationsNs.set(durationsNs);
  result.stepsRun = durationsNs.length;
  return { plan, result };
}

describe('RunRecorder', () => {
  it('takes the latencies of a request from its timestamps', () => {
    const { recorder: made } = recorder();
    const sequence = finishedSequence();
    made.received(sequence, sequence.request.arrivalNs);
    made.finished(sequence, sequence.finishedNs);
    const { latencyNs, requests, simulatedNs } = made.finish();
    expect(latencyNs.ttft.max).toBe(50e6);
    expect(latencyNs.tpot.max).toBe(10e6);
    expect(latencyNs.e2e.max).toBe(150e6);
    expect(latencyNs.queue.max).toBe(5e6);
    expect(requests).toMatchObject({ injected: 1, completed: 1 });
    expect(simulatedNs).toBe(1.15e9);
  });

  it('ends no request before its first token is seen, however late the frontend is with it', () => {
    const slow = { ...bundledHostProfile(), slowFirstTokens: { share: 1, nsMax: 1e9 } };
    const frontend = new Frontend(slow, 1);
    const gauges = { blocksTotal: 100, blocksUsed: () => 0, blocksCached: () => 0 };
    const made = new RunRecorder({ gauges, digest: 'records', records: null, frontend });
    made.attach(new Int32Array(8 * 16), 16);
    const sequence = finishedSequence({ outputTokens: 1, lastTokenNs: 1.05e9, finishedNs: 1.05e9 });
    made.received(sequence, sequence.request.arrivalNs);
    frontend.deliverFirstToken(sequence, 1);
    made.finished(sequence, sequence.finishedNs);
    const { latencyNs } = made.finish();
    expect(latencyNs.ttft.max).toBeGreaterThan(70e6);
    expect(latencyNs.e2e.max).toBe(latencyNs.ttft.max);
  });

  it('leaves out what did not happen: E2E of an abort, TPOT of one token, everything of a rejection', () => {
    const { recorder: made } = recorder();
    const aborted = finishedSequence({ outputTokens: 1, lastTokenNs: 1.05e9, finishReason: 'abort' });
    const rejected = finishedSequence({ id: 2 }, REJECTED);
    made.received(aborted, 1e9);
    made.rejected(rejected.request, 'never-fits', 1e9);
    made.finished(rejected, 1e9);
    made.finished(aborted, 1.2e9);
    const { latencyNs, requests, rejections } = made.finish();
    expect(latencyNs.ttft.max).toBe(50e6);
    expect(latencyNs.tpot.mean).toBeNull();
    expect(latencyNs.e2e.mean).toBeNull();
    expect(latencyNs.queue.max).toBe(5e6);
    expect(requests).toEqual({ injected: 2, completed: 0, rejected: 1, aborted: 1, timedOut: 0, failed: 0 });
    expect(rejections).toEqual({ 'never-fits': 1 });
  });

  it('weighs each step by the rows that got a token from it, and adds the exceptions', () => {
    const { recorder: made } = recorder();
    const { plan, result } = submission(4, [10, 20, 30]);
    made.stepPlanned(plan, 0, 0, null, 0);
    made.stepFinished(plan, result, 0, 60, 3, 5);
    made.tokenGap(1000, 2);
    const { latencyNs, steps, sequenceSteps, submissions } = made.finish();
    // 15 (lead included), 20 and 30, three times each, and 1000 twice
    expect(latencyNs.itl.mean).toBeCloseTo((3 * (15 + 20 + 30) + 2000) / 11, 9);
    expect(latencyNs.itl.p50).toBe(20);
    expect(latencyNs.itl.max).toBe(1000);
    expect({ steps, sequenceSteps, submissions }).toEqual({ steps: 3, sequenceSteps: 12, submissions: 1 });
    expect(latencyNs.schedulerIteration.max).toBe(50_000);
  });

  it('counts nothing of a failed submission but that it failed', () => {
    const { recorder: made } = recorder();
    const { plan, result } = submission(4, [10]);
    result.fail('transient', 'planted');
    made.stepFinished(plan, result, 0, 10, 4, 0);
    const run = made.finish();
    expect(run).toMatchObject({ steps: 0, sequenceSteps: 0, submissions: 1, failedSubmissions: 1 });
    expect(run.latencyNs.itl.mean).toBeNull();
  });

  it('keeps peaks, preemptions by reason and evictions', () => {
    const { recorder: made, kv } = recorder();
    const { plan, result } = submission(6, [1e9]);
    kv.used = 60;
    made.stepPlanned(plan, 9, 2, 'blocks', 0);
    kv.used = 70;
    made.preempted(finishedSequence(), 'memory_pressure', true, 0);
    made.preempted(finishedSequence(), 'priority', false, 0);
    kv.used = 10;
    made.evicted(Int32Array.of(1, 2, 3), 2, 0);
    made.stepFinished(plan, result, 0, 1e9, 6, 0);
    const run = made.finish();
    expect(run.peaks).toEqual({ running: 6, waiting: 9, swapped: 2 });
    expect(run.kv).toMatchObject({ blocksTotal: 100, blocksUsedPeak: 70, evictions: 2 });
    expect(run.preemptions).toEqual({ memoryPressure: 1, priority: 1, swapped: 1 });
  });

  it('gives the mean of used blocks over simulated time, idle time included', () => {
    const { recorder: made, kv } = recorder();
    const { plan, result } = submission(1, [1e9]);
    kv.used = 80;
    made.stepPlanned(plan, 0, 0, null, 0);
    made.stepFinished(plan, result, 0, 1e9, 1, 0);
    kv.used = 0;
    made.received(finishedSequence(), 4e9);
    expect(made.finish().kv.blocksUsedMean).toBe(20);
  });

  it('counts a request of several sequences as one arrival', () => {
    const { recorder: made } = recorder();
    for (const index of [0, 1]) made.received(finishedSequence({ n: 2, index }), 1e9);
    for (const index of [0, 1]) made.finished(finishedSequence({ n: 2, index }), 1.2e9);
    const run = made.finish();
    expect(run.requests).toMatchObject({ injected: 1, completed: 1 });
    expect(run.tokens.output).toBe(22);
    expect(run.timeSeries.arrivals).toEqual([0, 1]);
  });

  it('hands every finished sequence to the records, and the rest of the text at the end', () => {
    const chunks: string[] = [];
    const { recorder: made } = recorder(new RequestRecords('csv', (chunk) => chunks.push(chunk)));
    made.finished(finishedSequence({ id: 7 }), 1.2e9);
    made.finished(finishedSequence({ id: 8 }), 1.2e9);
    made.close();
    const closed = chunks.join('');
    made.close();
    made.finish();
    expect(chunks.join('')).toBe(closed);
    const lines = chunks.join('').trimEnd().split('\n');
    expect(lines.map((line) => line.split(',')[0])).toEqual(['requestId', '7', '8']);
  });
});
