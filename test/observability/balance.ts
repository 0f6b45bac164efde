import { expect } from 'vitest';
import type { MetricsSnapshot } from '../../src/observability/metrics-snapshot.ts';

/** What holds of an engine's metrics at any moment, and of those of several engines one after another. */
export function expectBalance(now: MetricsSnapshot): void {
  const total = now.value('kv_cache_blocks_total');
  const used = now.value('kv_cache_blocks_used');
  expect(used + now.value('kv_cache_blocks_cached') + now.value('kv_cache_blocks_free')).toBe(total);
  expect(now.value('kv_cache_blocks_free')).toBeGreaterThanOrEqual(0);
  expect(now.value('kv_cache_utilization_ratio')).toBe(used / total);
  expect(now.value('speculative_tokens_accepted_total') + now.value('speculative_tokens_rejected_total')).toBe(
    now.value('speculative_tokens_proposed_total'),
  );
  const live =
    now.value('scheduler_running_batch_size') +
    now.value('scheduler_waiting_queue_size') +
    now.value('scheduler_swapped_queue_size');
  expect(now.value('scheduler_sequences_received_total')).toBe(now.sum('scheduler_sequences_finished_total') + live);
  expect(now.count('request_output_tokens')).toBe(now.sum('scheduler_sequences_finished_total'));
  expect(now.count('request_prompt_tokens')).toBe(now.sum('scheduler_sequences_finished_total'));
}

/** What holds besides when nothing is left to do. */
export function expectIdleBalance(end: MetricsSnapshot): void {
  expectBalance(end);
  expect(end.value('kv_cache_blocks_used')).toBe(0);
  expect(end.value('scheduler_sequences_received_total')).toBe(end.sum('scheduler_sequences_finished_total'));
  // Every token is a first one or has a gap before it.
  expect(end.count('inter_token_latency_seconds') + end.count('time_to_first_token_seconds')).toBe(
    end.value('decode_tokens_total'),
  );
  expect(end.count('request_queue_time_seconds')).toBeGreaterThanOrEqual(end.count('time_to_first_token_seconds'));
  expect(end.count('request_latency_seconds')).toBe(end.count('time_to_first_token_seconds'));
}
