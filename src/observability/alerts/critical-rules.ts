import type { AlertRule } from './alert-rule.ts';
import {
  absent,
  andOnInstance,
  compare,
  or,
  plus,
  quantileOver,
  rate,
  ratio,
  select,
  sumByInstance,
  threshold,
} from './expression.ts';

const MINUTE = 60;

/** What somebody is woken for. */
export const CRITICAL_RULES: readonly AlertRule[] = [
  {
    name: 'HighTTFT',
    severity: 'critical',
    condition: compare(quantileOver(0.99, 'time_to_first_token_seconds', 5 * MINUTE), '>', threshold(0.5)),
    forSeconds: 5 * MINUTE,
    summary: 'High time to first token',
    description: 'p99 TTFT is {{ $value | humanizeDuration }}, exceeds 500ms threshold',
  },
  {
    name: 'MemoryExhaustion',
    severity: 'critical',
    condition: compare(ratio(select('kv_cache_blocks_used'), select('kv_cache_blocks_total')), '>', threshold(0.98)),
    forSeconds: 2 * MINUTE,
    summary: 'KV cache near exhaustion',
    description: 'KV cache utilization is {{ $value | humanizePercentage }}',
  },
  {
    name: 'GPUFailure',
    severity: 'critical',
    condition: compare(select('gpu_health_status'), '==', 0),
    forSeconds: 30,
    summary: 'GPU health check failed',
    description: 'GPU {{ $labels.gpu_id }} is unhealthy',
  },
  {
    // Refused and cancelled requests are no failures of ours, so neither side counts them.
    name: 'RequestFailures',
    severity: 'critical',
    condition: compare(
      ratio(
        sumByInstance(rate(select('gateway_requests_total', { outcome: 'server_error' }), 3 * MINUTE)),
        sumByInstance(rate(select('gateway_requests_total', { outcome: ['success', 'server_error'] }), 3 * MINUTE)),
      ),
      '>',
      threshold(0.05),
    ),
    forSeconds: 3 * MINUTE,
    summary: 'Requests fail',
    description:
      '{{ $value | humanizePercentage }} of the requests that ended in the last 3 minutes failed on our side',
  },
  {
    // While no step ends the histogram stands still and its quantile is NaN; the heartbeat speaks then.
    name: 'SchedulerStall',
    severity: 'critical',
    condition: or(
      compare(quantileOver(0.99, 'scheduler_iteration_latency_seconds', MINUTE), '>', threshold(0.05)),
      andOnInstance(
        compare(select('scheduler_seconds_since_last_iteration'), '>', threshold(10)),
        compare(plus(select('scheduler_running_batch_size'), select('scheduler_waiting_queue_size')), '>', 0),
      ),
    ),
    forSeconds: MINUTE,
    summary: 'Scheduler is stalled',
    description:
      'Scheduling a step takes {{ $value | humanizeDuration }} (p99), or no step has ended for so long while requests wait',
  },
  {
    name: 'KVCacheOrphanedBlocks',
    severity: 'critical',
    condition: compare(select('kv_cache_orphaned_blocks'), '>', 0),
    forSeconds: 0,
    summary: 'KV blocks without an owner',
    description: 'The last audit found {{ $value | humanize }} blocks that nobody owns and that are not free',
  },
  {
    // Without the process all other alerts are silent: their series are gone.
    name: 'EngineDown',
    severity: 'critical',
    condition: or(compare(select('up'), '==', 0), absent(select('up'))),
    forSeconds: MINUTE,
    summary: 'Engine is down',
    description: 'No metrics can be read from {{ $labels.job }} {{ $labels.instance }}',
  },
];
