import type { MetricDefinition } from './metric-definition.ts';

const TTFT_SECONDS = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2, 5, 10, 20, 40, 80,
] as const;
const TOKEN_SECONDS = [
  0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5,
] as const;
const REQUEST_SECONDS = [
  0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480,
] as const;
const TOKENS = [16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 131_072] as const;

/** Work done on the device, and what requests saw of it. */
export const EXECUTION_METRICS = [
  {
    name: 'prefill_tokens_total',
    type: 'counter',
    unit: 'tokens',
    writer: 'engine',
    help: 'Prompt tokens computed: not those found in the prefix cache; again after a preemption by recomputation',
    panel: { row: 'throughput', title: 'Tokens per second' },
  },
  {
    name: 'decode_tokens_total',
    type: 'counter',
    unit: 'tokens',
    writer: 'engine',
    help: 'Output tokens delivered to sequences, accepted drafts included',
    panel: { row: 'throughput', title: 'Tokens per second' },
  },
  {
    name: 'tokens_per_second',
    type: 'gauge',
    unit: 'tokens/second',
    writer: 'engine',
    help: 'Throughput over the last 30 seconds; combined = prefill + decode, so never sum over phase',
    labels: [{ name: 'phase', values: ['prefill', 'decode', 'combined'] }],
    thresholds: [{ kind: 'target', of: 'value', comparison: '>', value: 50_000 }],
    panel: { row: 'key', title: 'Tokens per second' },
  },
  {
    name: 'time_to_first_token_seconds',
    type: 'histogram',
    unit: 'seconds',
    writer: 'engine',
    help: 'Arrival at the engine until the first output token, per sequence',
    buckets: TTFT_SECONDS,
    thresholds: [
      { kind: 'target', of: 'p99', comparison: '<', value: 0.2 },
      { kind: 'warning', of: 'p99', comparison: '>', value: 0.3 },
      { kind: 'critical', of: 'p99', comparison: '>', value: 0.5 },
    ],
    panel: { row: 'latency', title: 'TTFT' },
  },
  {
    name: 'inter_token_latency_seconds',
    type: 'histogram',
    unit: 'seconds',
    writer: 'engine',
    help: 'Time between consecutive output tokens of a sequence; n tokens of one step count n times a n-th',
    buckets: TOKEN_SECONDS,
    thresholds: [{ kind: 'target', of: 'p99', comparison: '<', value: 0.05 }],
    panel: { row: 'latency', title: 'Inter-token latency' },
  },
  {
    name: 'request_time_per_output_token_seconds',
    type: 'histogram',
    unit: 'seconds',
    writer: 'engine',
    help: 'Mean time per output token after the first, per sequence that ended well with at least 2',
    buckets: [0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.2, 0.5],
  },
  {
    name: 'request_latency_seconds',
    type: 'histogram',
    unit: 'seconds',
    writer: 'engine',
    help: 'Arrival until the end, per sequence with output, by output tokens n: n <= 10, <= 50, <= 100, more',
    labels: [{ name: 'output_token_bucket', values: ['1-10', '10-50', '50-100', '100+'] }],
    buckets: REQUEST_SECONDS,
  },
  {
    name: 'request_prompt_tokens',
    type: 'histogram',
    unit: 'tokens',
    writer: 'engine',
    help: 'Prompt length of sequences that ended',
    buckets: TOKENS,
  },
  {
    name: 'request_output_tokens',
    type: 'histogram',
    unit: 'tokens',
    writer: 'engine',
    help: 'Output length of sequences that ended',
    buckets: TOKENS,
  },
  {
    name: 'speculative_acceptance_rate',
    type: 'gauge',
    unit: 'ratio',
    writer: 'engine',
    help: 'Accepted / proposed draft tokens over the last 5 minutes, 0 to 1; absent while none was proposed',
    absentAtStart: true,
    thresholds: [
      { kind: 'target', of: 'value', comparison: '>', value: 0.7 },
      { kind: 'warning', of: 'value', comparison: '<', value: 0.5 },
    ],
    panel: { row: 'cache', title: 'Speculative acceptance' },
  },
  {
    name: 'speculative_tokens_accepted_total',
    type: 'counter',
    unit: 'tokens',
    writer: 'engine',
    help: 'Draft tokens accepted',
  },
  {
    name: 'speculative_tokens_rejected_total',
    type: 'counter',
    unit: 'tokens',
    writer: 'engine',
    help: 'Draft tokens verified and not accepted, those behind the first rejection included',
  },
  {
    name: 'speculative_tokens_proposed_total',
    type: 'counter',
    unit: 'tokens',
    writer: 'engine',
    help: 'Draft tokens verified: accepted + rejected',
  },
  {
    name: 'gpu_forward_seconds_total',
    type: 'counter',
    unit: 'seconds',
    writer: 'engine',
    help: 'Time of forward passes by what was in them; the rate of the sum is the busy share of the device',
    labels: [{ name: 'phase', values: ['prefill', 'decode', 'mixed'] }],
  },
] as const satisfies readonly MetricDefinition[];
