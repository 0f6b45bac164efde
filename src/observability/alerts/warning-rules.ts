import type { AlertRule } from './alert-rule.ts';
import {
  andOnInstance,
  compare,
  plus,
  quantileOver,
  rate,
  ratio,
  type SeriesName,
  select,
  sumByInstance,
  threshold,
  times,
  type VectorExpression,
} from './expression.ts';

const MINUTE = 60;
const WINDOW = 5 * MINUTE;

type Counter = Extract<SeriesName, `${string}_total`>;

/** Growth of all series of a counter in the last 5 minutes, per second and instance. */
function growth(counter: Counter): VectorExpression {
  return sumByInstance(rate(select(counter), WINDOW));
}

function share(part: Counter, rest: Counter): VectorExpression {
  return ratio(growth(part), plus(growth(part), growth(rest)));
}

const KV_UTILIZATION = ratio(select('kv_cache_blocks_used'), select('kv_cache_blocks_total'));
const PREEMPTIONS_PER_MINUTE = times(60, growth('scheduler_preemptions_total'));

/** What somebody looks at during the day. */
export const WARNING_RULES: readonly AlertRule[] = [
  {
    name: 'ElevatedTTFT',
    severity: 'warning',
    condition: compare(quantileOver(0.99, 'time_to_first_token_seconds', WINDOW), '>', threshold(0.3)),
    forSeconds: 10 * MINUTE,
    summary: 'Elevated time to first token',
    description: 'p99 TTFT is {{ $value | humanizeDuration }}, exceeds 300ms threshold',
  },
  {
    name: 'MemoryPressure',
    severity: 'warning',
    condition: compare(KV_UTILIZATION, '>', threshold(0.9)),
    forSeconds: 5 * MINUTE,
    summary: 'KV cache under pressure',
    description: 'KV cache utilization is {{ $value | humanizePercentage }}',
  },
  {
    name: 'KVCacheHigh',
    severity: 'warning',
    condition: compare(KV_UTILIZATION, '>', threshold(0.95)),
    forSeconds: MINUTE,
    summary: 'KV cache is almost full',
    description: 'KV cache utilization is {{ $value | humanizePercentage }}',
  },
  {
    name: 'HighPreemption',
    severity: 'warning',
    condition: compare(PREEMPTIONS_PER_MINUTE, '>', threshold(5)),
    forSeconds: 10 * MINUTE,
    summary: 'Sequences are preempted often',
    description: '{{ $value | humanize }} preemptions per minute',
  },
  {
    name: 'PreemptionCapacity',
    severity: 'warning',
    condition: compare(PREEMPTIONS_PER_MINUTE, '>', threshold(10)),
    forSeconds: 5 * MINUTE,
    summary: 'Capacity is short: sequences are preempted all the time',
    description: '{{ $value | humanize }} preemptions per minute',
  },
  {
    name: 'LowCacheHit',
    severity: 'warning',
    condition: compare(share('prefix_cache_hit_total', 'prefix_cache_miss_total'), '<', threshold(0.2)),
    forSeconds: 30 * MINUTE,
    summary: 'Few prompt blocks are found in the prefix cache',
    description: '{{ $value | humanizePercentage }} of the blocks looked up were found',
  },
  {
    name: 'SpeculationIneffective',
    severity: 'warning',
    condition: compare(
      share('speculative_tokens_accepted_total', 'speculative_tokens_rejected_total'),
      '<',
      threshold(0.5),
    ),
    forSeconds: 10 * MINUTE,
    summary: 'Speculation proposes tokens in vain',
    description: '{{ $value | humanizePercentage }} of the draft tokens were accepted',
  },
  {
    name: 'QueueBacklog',
    severity: 'warning',
    condition: compare(select('scheduler_waiting_queue_size'), '>', threshold(100)),
    forSeconds: MINUTE,
    summary: 'Requests queue up',
    description: '{{ $value | humanize }} sequences wait',
  },
  {
    name: 'SwappedQueueHigh',
    severity: 'warning',
    condition: compare(select('scheduler_swapped_queue_size'), '>', threshold(50)),
    forSeconds: 5 * MINUTE,
    summary: 'Many sequences are swapped out',
    description: '{{ $value | humanize }} preempted sequences wait in host memory',
  },
  {
    name: 'SchedulerBottleneck',
    severity: 'warning',
    condition: compare(quantileOver(0.99, 'scheduler_iteration_latency_seconds', WINDOW), '>', threshold(0.005)),
    forSeconds: 5 * MINUTE,
    summary: 'Scheduling is slow',
    description: 'Scheduling a step takes {{ $value | humanizeDuration }} (p99)',
  },
  {
    // "Grows without bound" is bounded by the pool: a leak is what does not come back when all is idle.
    name: 'KVCacheLeak',
    severity: 'warning',
    condition: andOnInstance(
      compare(select('kv_cache_blocks_used'), '>', 0),
      compare(
        plus(
          plus(select('scheduler_running_batch_size'), select('scheduler_waiting_queue_size')),
          select('scheduler_swapped_queue_size'),
        ),
        '==',
        0,
      ),
    ),
    forSeconds: 5 * MINUTE,
    summary: 'KV blocks stay in use while nothing runs',
    description: '{{ $value | humanize }} blocks are in use without a sequence',
  },
  {
    // A full cache turns over far more than this while all is well, so it is no more than a hint.
    name: 'PrefixCacheTooSmall',
    severity: 'info',
    condition: compare(times(60, growth('prefix_cache_evictions_total')), '>', threshold(100)),
    forSeconds: 5 * MINUTE,
    summary: 'Prefix cache loses blocks quickly',
    description:
      '{{ $value | humanize }} cached blocks are evicted per minute; act if the hit rate is below 30% as well',
  },
];
