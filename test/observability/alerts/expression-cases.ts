import fc from 'fast-check';
import {
  absent,
  andOnInstance,
  compare,
  increase,
  maxOverTime,
  or,
  plus,
  quantileOver,
  rate,
  ratio,
  type Selection,
  select,
  sumByInstance,
  times,
  type VectorExpression,
} from '../../../src/observability/alerts/index.ts';

const COUNTERS: readonly Selection[] = [
  select('gateway_requests_total', { outcome: 'success' }),
  select('gateway_requests_total', { outcome: ['success', 'server_error'] }),
  select('scheduler_preemptions_total', { reason: 'priority' }),
  select('prefix_cache_hit_total'),
  select('gpu_forward_seconds_total', { phase: ['prefill', 'decode'] }),
  select('time_to_first_token_seconds_bucket', { le: ['0.3', '+Inf'] }),
  select('time_to_first_token_seconds_count'),
  select('time_to_first_token_seconds_sum'),
  select('request_latency_seconds_count', { output_token_bucket: ['1-10', '100+'] }),
];

const GAUGES: readonly Selection[] = [
  select('up'),
  select('gpu_health_status'),
  select('gpu_health_status', { gpu_id: '1' }),
  select('gpu_health_status', { gpu_id: ['0', '2'] }),
  select('kv_cache_blocks_used'),
  select('kv_cache_blocks_total'),
  select('scheduler_running_batch_size'),
  select('scheduler_waiting_queue_size'),
  select('scheduler_seconds_since_last_iteration'),
];

const RANGE = fc.constantFrom(15, 30, 45, 60, 61.5, 180, 300, 900);
const COUNTER = fc.constantFrom(...COUNTERS);
const GAUGE = fc.constantFrom(...GAUGES);
const NUMBER = fc.constantFrom(0, 1, 0.5, 2, 100, -1);
const COMPARISON = fc.constantFrom(
  '>' as const,
  '<' as const,
  '>=' as const,
  '<=' as const,
  '==' as const,
  '!=' as const,
);
const HISTOGRAM = fc.constantFrom(
  'time_to_first_token_seconds' as const,
  'scheduler_iteration_latency_seconds' as const,
);

/**
 * Expressions of all kinds, over the metrics that history cases move. Sums are over two series, or over whole numbers: Prometheus adds
 * up in whatever order its maps have, so that the last bit of other sums is a matter of luck.
 */
export const EXPRESSION_CASE: fc.Arbitrary<VectorExpression> = fc.letrec<{
  leaf: VectorExpression;
  summand: VectorExpression;
  tree: VectorExpression;
}>((tie) => ({
  leaf: fc.oneof(
    GAUGE,
    fc.tuple(COUNTER, RANGE).map(([of, seconds]) => rate(of, seconds)),
    fc.tuple(COUNTER, RANGE).map(([of, seconds]) => increase(of, seconds)),
    fc.tuple(fc.oneof(COUNTER, GAUGE), RANGE).map(([of, seconds]) => maxOverTime(of, seconds)),
    fc
      .tuple(fc.constantFrom(0, 0.5, 0.9, 0.99, 1), HISTOGRAM, RANGE)
      .map(([quantile, histogram, seconds]) => quantileOver(quantile, histogram, seconds)),
    GAUGE.map((of) => absent(of)),
  ),
  summand: fc.oneof(
    tie('leaf'),
    fc.tuple(NUMBER, tie('leaf')).map(([factor, of]) => times(factor, of)),
    fc.tuple(tie('leaf'), COMPARISON, NUMBER).map(([left, operator, right]) => compare(left, operator, right)),
    fc.tuple(tie('leaf'), tie('leaf')).map(([left, right]) => andOnInstance(left, right)),
  ),
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    tie('summand').map((of) => sumByInstance(of)),
    fc
      .tuple(tie('summand'), fc.constantFrom(['job'], ['job', 'instance', 'gpu_id'], []))
      .map(([of, by]) => ({ kind: 'sum', by, of }) as const),
    fc.tuple(NUMBER, tie('tree')).map(([factor, of]) => times(factor, of)),
    fc.tuple(tie('tree'), tie('tree')).map(([left, right]) => plus(left, right)),
    fc.tuple(tie('tree'), tie('tree')).map(([left, right]) => ratio(left, right)),
    fc.tuple(tie('tree'), COMPARISON, NUMBER).map(([left, operator, right]) => compare(left, operator, right)),
    fc.tuple(tie('tree'), COMPARISON, tie('tree')).map(([left, operator, right]) => compare(left, operator, right)),
    fc.tuple(tie('tree'), tie('tree')).map(([left, right]) => andOnInstance(left, right)),
    fc.tuple(tie('tree'), tie('tree')).map(([left, right]) => or(left, right)),
  ),
})).tree;
