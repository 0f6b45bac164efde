import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceFault } from '../../src/backends/simulated/index.ts';
import type { Engine, EngineConfig } from '../../src/core/index.ts';
import { CATALOGUE } from '../../src/observability/index.ts';
import type { MetricsSnapshot } from '../../src/observability/metrics-snapshot.ts';
import { PLACES } from '../../src/observability/page-layout.ts';
import { expectBalance, expectIdleBalance } from './balance.ts';
import { type MeteredRequest, meteredRun } from './metered-run.ts';

const request: fc.Arbitrary<MeteredRequest> = fc.record(
  {
    arrivalNs: fc.integer({ min: 0, max: 400e6 }),
    stream: fc.integer({ min: 1, max: 4 }),
    promptTokens: fc.integer({ min: 0, max: 400 }),
    outputTokensMax: fc.integer({ min: 1, max: 160 }),
    n: fc.integer({ min: 1, max: 3 }),
    priority: fc.integer({ min: 0, max: 2 }),
    deadlineNs: fc.integer({ min: 0, max: 1e9 }),
    abortNs: fc.integer({ min: 400e6, max: 1e9 }),
  },
  { requiredKeys: ['arrivalNs', 'stream', 'promptTokens', 'outputTokensMax'] },
);

const fault: fc.Arbitrary<DeviceFault> = fc.record({
  kind: fc.constantFrom('transient' as const, 'sticky' as const, 'transient' as const, 'device-lost' as const),
  atNs: fc.integer({ min: 0, max: 1e9 }),
  message: fc.constant('asked for'),
});

const SPECULATION = {
  draftTokensMax: 3,
  lookaheadTokens: 0,
  runningOffMin: 6,
  runningOnMax: 4,
  acceptanceOffMax: 0.1,
  acceptanceOnMin: 0.2,
  retrySteps: 10,
};

const config: fc.Arbitrary<Partial<EngineConfig>> = fc.constantFrom<Partial<EngineConfig>>(
  {},
  { blocksTotal: 48 },
  { speculation: SPECULATION },
  { preemption: 'swap', hostBlocksTotal: 200, blocksTotal: 40, watermarkRatio: 0, capacity: 'as-needed' },
  { order: 'priority', blocksTotal: 40, capacity: 'as-needed' },
  { prefixCaching: false },
  { waitingMax: 2 },
);

/** What holds at any moment. */
function checkAlways(now: MetricsSnapshot, engine: Engine): void {
  expectBalance(now);
  expect(now.value('kv_cache_blocks_used')).toBe(engine.kv.pool.used);
}

const COUNTED = CATALOGUE.filter(({ type }) => type === 'counter' || type === 'histogram').map(
  ({ name }) => PLACES.get(name)!,
);

/** Cells of counters, and of histograms the buckets and the sum. */
function counted(snapshot: MetricsSnapshot): number[] {
  return COUNTED.flatMap(({ at, series, stride }) => [...snapshot.cells.slice(at, at + series.length * stride)]);
}

describe('the books of any simulated run', () => {
  it('balance at every sample and at the end', () => {
    const reached = { preempted: 0, failed: 0, speculated: 0, rejected: 0, hit: 0, timeout: 0, aborted: 0, swapped: 0 };
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 24 }),
        config,
        fc.constantFrom('twinfer' as const, 'vllm-v1' as const),
        fc.array(fault, { maxLength: 2 }),
        fc.boolean(),
        (requests, changes, profile, faults, runs) => {
          let before: number[] = [];
          const { snapshot, engine } = meteredRun({
            requests,
            config: profile === 'vllm-v1' && changes.preemption === 'swap' ? {} : changes,
            profile,
            faults,
            runs,
            seen: (now, at) => {
              checkAlways(now, at);
              const after = counted(now);
              expect(before.every((value, i) => value <= after[i]!)).toBe(true);
              before = after;
            },
          });
          checkEnd(snapshot, engine, requests);
          reached.preempted += snapshot.sum('scheduler_preemptions_total');
          reached.failed += snapshot.value('scheduler_failed_steps_total');
          reached.speculated += snapshot.value('speculative_tokens_accepted_total');
          reached.rejected += snapshot.sum('scheduler_requests_rejected_total');
          reached.hit += snapshot.value('prefix_cache_hit_total');
          reached.aborted += snapshot.value('scheduler_sequences_finished_total', 2);
          reached.timeout += snapshot.value('scheduler_sequences_finished_total', 3);
          reached.swapped += snapshot.count('scheduler_swap_wait_seconds');
        },
      ),
      { numRuns: 150 },
    );
    // Laws that nothing puts to the test would hold as well.
    expect(Object.entries(reached).filter(([, count]) => count === 0)).toEqual([]);
  });
});

/** What holds when nothing is left to do. */
function checkEnd(end: MetricsSnapshot, engine: Engine, requests: readonly MeteredRequest[]): void {
  const { totals } = engine;
  expect(engine.idle).toBe(true);
  expectIdleBalance(end);
  expect(end.sum('scheduler_sequences_finished_total') + totals.rejected).toBe(
    requests.reduce((sum, { n }) => sum + (n ?? 1), 0),
  );
  expect(end.value('decode_tokens_total')).toBe(totals.outputTokens);
  expect(end.sum('scheduler_preemptions_total')).toBe(
    engine.scheduler.preemptionsMemory + engine.scheduler.preemptionsPriority,
  );
  expect(end.value('scheduler_failed_steps_total')).toBe(totals.failedSubmissions);
  expect(end.value('prefix_cache_evictions_total')).toBe(totals.evictions);
  expect(end.value('prefill_tokens_total')).toBe(totals.prefillTokens);
  expect(end.count('scheduler_iteration_latency_seconds')).toBe(totals.steps + totals.failedSubmissions);
  expect(end.sum('gpu_forward_seconds_total') > 0).toBe(totals.steps > 0);
}
