import { describe, expect, it } from 'vitest';
import { type WorldColumn, WorldRecord } from '../../../src/runtime/alerts-test/world-record.ts';
import { runSimulation } from '../../../src/runtime/run-simulation.ts';
import type { RunSpec } from '../../../src/runtime/run-spec.ts';
import { CHAT, scenario } from '../scenarios.ts';

const RUSH = `{kind: generated, arrivals: {process: poisson, requests_per_second: 30}, content: ${CHAT}, timeout: 3s}`;
const TIGHT = '{num_gpu_blocks: 600, admission_policy: as-needed, watermark: 0}';

async function recorded(spec: RunSpec, intervalSeconds = 0.5) {
  const record = new WorldRecord(intervalSeconds);
  const { run } = await runSimulation(spec, { observers: [record] });
  const sum = (column: WorldColumn) => {
    let total = 0;
    for (let row = 0; row < record.rows; row++) total += record.value(row, column);
    return total;
  };
  return { record, run, sum };
}

describe('the record of the world', () => {
  it('adds up to what the run recorded', async () => {
    const { run, sum } = await recorded(
      scenario({ workload: RUSH, engine: TIGHT, faults: '[{kind: sticky, at: 6s}]' }),
    );
    const { requests, preemptions, kv, tokens } = run;
    expect(requests.timedOut).toBeGreaterThan(0);
    expect(preemptions.memoryPressure).toBeGreaterThan(0);
    expect(sum('succeeded')).toBe(requests.completed);
    expect(sum('failed')).toBe(requests.timedOut + requests.failed);
    expect(sum('preemptions')).toBe(preemptions.memoryPressure + preemptions.priority);
    expect(sum('evictions')).toBe(kv.evictions);
    expect(sum('steps')).toBe(run.steps + run.failedSubmissions);
    expect(sum('missedBlocks') + sum('hitBlocks')).toBeLessThanOrEqual(tokens.prompt / 16);
    expect(sum('usedNs') / run.simulatedNs / kv.blocksUsedMean).toBeCloseTo(1, 1);
  });

  it('knows of every request whether its first token was late, also of those that never got one', async () => {
    const spec = scenario({ workload: RUSH, engine: TIGHT });
    const { run, sum } = await recorded(spec);
    const { requests } = run;
    // Everybody stays for at least half a second here: three is when clients leave.
    expect(sum('late1') + sum('timely1')).toBe(requests.completed + requests.timedOut + requests.failed);
    expect(requests.timedOut).toBeGreaterThan(0);
    expect(sum('late1')).toBeGreaterThan(0);
    expect(sum('late0')).toBeGreaterThanOrEqual(sum('late1'));
  });

  it('marks the moments at which no step had ended for ten seconds while work was there', async () => {
    const workload = `{kind: generated, arrivals: {process: poisson, requests_per_second: 2}, content: ${CHAT}}`;
    const faults = '[{kind: hang, from: 20s, to: 50s}]';
    const { record } = await recorded(scenario({ workload, faults, limits: '{duration: 60s}' }), 1);
    const stalled = Array.from({ length: record.rows }, (_, row) => row).filter(
      (row) => record.value(row, 'stalled') > 0,
    );
    expect(stalled[0]).toBeGreaterThanOrEqual(30);
    expect(stalled[0]).toBeLessThanOrEqual(33);
    expect(stalled.at(-1)).toBe(50);
    expect(stalled).toEqual(stalled.map((_, i) => stalled[0]! + i));
  });
});
