import { describe, expect, it } from 'vitest';
import { cellOf, type MetricsHistory } from '../../src/observability/index.ts';
import { MetricsObserver } from '../../src/runtime/metrics-observer.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import type { RunSpec } from '../../src/runtime/run-spec.ts';
import { CHAT, scenario } from './scenarios.ts';

const RUSH = `{kind: generated, arrivals: {process: poisson, requests_per_second: 30}, content: ${CHAT}, timeout: 2s}`;
const TIGHT = '{num_gpu_blocks: 600, admission_policy: as-needed, watermark: 0, max_num_waiting: 20}';
const FAULTS = '[{kind: sticky, at: 6s}, {kind: slow, from: 8s, to: 10s, factor: 3}]';

async function metered(spec: RunSpec, intervalSeconds?: number) {
  const interval = intervalSeconds === undefined ? {} : { intervalSeconds };
  const observer = new MetricsObserver({
    ...interval,
    outages: spec.faults.filter((fault) => fault.kind === 'process-down'),
  });
  const outcome = await runSimulation(spec, { observers: [observer] });
  return { outcome, history: observer.history };
}

function last(history: MetricsHistory, cell: number): number {
  return history.value(history.length - 1, cell);
}

describe('metrics of a simulated run', () => {
  it('change nothing that the run decides', async () => {
    for (const digest of ['records', 'steps'] as const) {
      const spec = scenario({ workload: RUSH, engine: TIGHT, faults: FAULTS }, { output: { digest } });
      const alone = await runSimulation(spec);
      const { outcome } = await metered(spec, 1);
      // Means over time depend a little on where runs of steps are cut, with and without metrics.
      const decided = ({ run, summary }: typeof alone) => {
        const { digest, requests, tokens, latencyNs, preemptions, steps, simulatedNs } = run;
        return { digest, requests, tokens, latencyNs, preemptions, steps, simulatedNs, targets: summary.targets };
      };
      expect(decided(outcome)).toEqual(decided(alone));
    }
  });

  it('have a row for every interval, from 0 to the first one after the end', async () => {
    const { outcome, history } = await metered(scenario(), 2.5);
    const times = Array.from({ length: history.length }, (_, row) => history.timeSeconds(row));
    expect(times).toEqual(times.map((_, row) => 2.5 * row));
    const endSeconds = outcome.run.simulatedNs / 1e9;
    expect(times.at(-1)).toBeGreaterThanOrEqual(endSeconds);
    expect(times.at(-2)).toBeLessThan(endSeconds);
  });

  it('count what the run recorded: arrivals, outcomes, tokens, preemptions', async () => {
    const { outcome, history } = await metered(scenario({ workload: RUSH, engine: TIGHT, faults: FAULTS }));
    const { requests, tokens, preemptions } = outcome.run;
    for (const many of [requests.completed, requests.rejected, requests.timedOut, requests.failed]) {
      expect(many).toBeGreaterThan(0);
    }
    const of = (name: string) => last(history, cellOf('gateway_requests_total', name));
    expect(last(history, cellOf('gateway_requests_received_total'))).toBe(requests.injected);
    expect(of('success')).toBe(requests.completed);
    expect(of('rejected')).toBe(requests.rejected);
    expect(of('server_error')).toBe(requests.timedOut + requests.failed);
    expect(of('cancelled')).toBe(requests.aborted);
    expect(last(history, cellOf('gateway_active_requests'))).toBe(0);
    expect(last(history, cellOf('gateway_tokens_total'))).toBe(tokens.output);
    expect(last(history, cellOf('decode_tokens_total'))).toBe(tokens.output);
    const preempted = (reason: string) => last(history, cellOf('scheduler_preemptions_total', reason));
    expect(preempted('memory_pressure')).toBe(preemptions.memoryPressure);
    expect(history.info).toMatchObject({ backend: 'simulator' });
  });

  it('of a process that dies are gone, and begin anew with the next one', async () => {
    const spec = scenario({ faults: '[{kind: process-down, from: 5s, to: 11s}]' });
    const { outcome, history } = await metered(spec, 2);
    const { requests } = outcome.run;
    expect(requests.failed).toBeGreaterThan(0);
    expect(requests.rejected).toBeGreaterThan(30);
    const ups = Array.from({ length: history.length }, (_, row) => history.up(row));
    expect(ups).toEqual(ups.map((_, row) => row < 3 || row > 5));
    const received = cellOf('gateway_requests_received_total');
    const before = history.value(2, received);
    expect(before).toBeGreaterThan(20);
    expect(history.value(6, received)).toBeLessThan(20);
    const success = cellOf('gateway_requests_total', 'success');
    expect(last(history, received)).toBe(last(history, success));
    expect(before + last(history, received)).toBeLessThan(requests.injected - 30);
    const first = cellOf('decode_tokens_total');
    expect(history.value(6, first)).toBeLessThan(history.value(2, first));
  });

  it('show what an audit found, once a minute, until the process begins anew', async () => {
    const workload = `{kind: generated, arrivals: {process: poisson, requests_per_second: 1}, content: ${CHAT}}`;
    const faults = '[{kind: kv-leak, at: 100s, blocks: 7}, {kind: process-down, from: 200s, to: 210s}]';
    const { history } = await metered(scenario({ workload, faults, limits: '{duration: 5min}' }));
    const at = (seconds: number, cell: number) => history.value(seconds / 15, cell);
    const orphaned = cellOf('kv_cache_orphaned_blocks');
    expect([0, 60, 105, 120, 195, 210, 240, 270].map((seconds) => at(seconds, orphaned))).toEqual([
      0, 0, 0, 7, 7, 0, 0, 0,
    ]);
    expect(at(195, cellOf('kv_cache_audits_total'))).toBe(3);
  });
});
