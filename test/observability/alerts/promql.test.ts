import { describe, expect, it } from 'vitest';
import {
  compare,
  increase,
  maxOverTime,
  minus,
  or,
  plus,
  promql,
  promqlDuration,
  rate,
  ratio,
  select,
  times,
} from '../../../src/observability/alerts/index.ts';

describe('an expression', () => {
  it('compiles only with names, labels, values and bounds of the catalogue', () => {
    select('gateway_requests_total', { outcome: ['success', 'server_error'] });
    select('time_to_first_token_seconds_bucket', { le: '0.5' });
    // @ts-expect-error no such metric
    select('gateway_request_total');
    // @ts-expect-error a histogram has buckets, a sum and a count, but no value
    select('time_to_first_token_seconds');
    // @ts-expect-error no such label
    select('gateway_requests_total', { result: 'success' });
    // @ts-expect-error no such value
    select('gateway_requests_total', { outcome: 'failed' });
    // @ts-expect-error no such bucket
    select('time_to_first_token_seconds_bucket', { le: '0.45' });
    // @ts-expect-error it has no labels
    select('scheduler_waiting_queue_size', { reason: 'capacity' });
  });

  it('is written with the parentheses that it needs', () => {
    const used = select('kv_cache_blocks_used');
    const total = select('kv_cache_blocks_total');
    const [u, t] = [promql(used), promql(total)];
    expect(promql(ratio(used, plus(used, total)))).toBe(`${u} / (${u} + ${t})`);
    expect(promql(minus(used, minus(used, total)))).toBe(`${u} - (${u} - ${t})`);
    expect(promql(minus(minus(used, used), total))).toBe(`${u} - ${u} - ${t}`);
    expect(promql(times(2, ratio(used, total)))).toBe(`2 * (${u} / ${t})`);
    expect(promql(plus(compare(used, '>', 1), total))).toBe(`(${u} > 1) + ${t}`);
    expect(promql(or(or(used, total), used))).toBe(`${u} or ${t} or ${u}`);
    expect(promql(or(used, or(total, used)))).toBe(`${u} or (${t} or ${u})`);
  });

  it('asks for its job, and matches several values by an expression in which nothing is special', () => {
    const sequences = select('request_latency_seconds_count', { output_token_bucket: ['1-10', '100+'] });
    expect(promql(rate(sequences, 300), 'llm')).toBe(
      'rate(request_latency_seconds_count{job="llm", output_token_bucket=~"1-10|100\\\\+"}[5m])',
    );
    expect(promql(increase(select('up'), 61.5))).toBe('increase(up{job="engine"}[1m1s500ms])');
    expect(promql(maxOverTime(select('up'), 259_200))).toBe('max_over_time(up{job="engine"}[3d])');
  });

  it.each([
    [0, '0s'],
    [0.3, '300ms'],
    [30, '30s'],
    [90, '1m30s'],
    [3600, '1h'],
    [90_061.001, '1d1h1m1s1ms'],
  ])('a duration of %d s is %s', (seconds, text) => {
    expect(promqlDuration(seconds)).toBe(text);
  });
});
