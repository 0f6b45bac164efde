import type { MetricName } from './catalogue.ts';

/** A metric under the name that vLLM gives it, so that routers and dashboards made for vLLM need no change. */
export interface MetricAlias {
  readonly name: string;
  readonly from: MetricName;
  readonly help: string;
  /** vLLM's word for our label. */
  readonly relabel?: Readonly<Record<string, string>>;
  /** Adds the series up instead of keeping their labels. */
  readonly summed?: boolean;
  /** vLLM counts prefix hits in tokens, we in blocks. */
  readonly inTokens?: boolean;
  /** Further metrics that are added. */
  readonly plus?: readonly MetricName[];
}

/**
 * Names and meanings of vLLM's V1 engine (`vllm/v1/metrics/loggers.py`). The gauges of waiting, running and KV use and
 * `vllm:cache_config_info` are what the Gateway API Inference Extension's model server protocol asks for.
 */
export const VLLM_ALIASES: readonly MetricAlias[] = [
  { name: 'vllm:num_requests_running', from: 'scheduler_running_batch_size', help: 'Requests in the running batch' },
  { name: 'vllm:num_requests_waiting', from: 'scheduler_waiting_queue_size', help: 'Requests that wait' },
  { name: 'vllm:kv_cache_usage_perc', from: 'kv_cache_utilization_ratio', help: 'KV cache use, 1 = all of it' },
  {
    name: 'vllm:num_preemptions_total',
    from: 'scheduler_preemptions_total',
    help: 'Preemptions by the engine',
    summed: true,
  },
  { name: 'vllm:generation_tokens_total', from: 'decode_tokens_total', help: 'Output tokens' },
  {
    name: 'vllm:request_success_total',
    from: 'scheduler_sequences_finished_total',
    help: 'Requests that ended, by reason',
    relabel: { finish_reason: 'finished_reason' },
  },
  {
    name: 'vllm:prefix_cache_queries_total',
    from: 'prefix_cache_hit_total',
    plus: ['prefix_cache_miss_total'],
    help: 'Prompt tokens looked up in the prefix cache, in full blocks',
    inTokens: true,
  },
  {
    name: 'vllm:prefix_cache_hits_total',
    from: 'prefix_cache_hit_total',
    help: 'Prompt tokens found in the prefix cache, in full blocks',
    inTokens: true,
  },
  {
    name: 'vllm:spec_decode_num_draft_tokens_total',
    from: 'speculative_tokens_proposed_total',
    help: 'Draft tokens verified',
  },
  {
    name: 'vllm:spec_decode_num_accepted_tokens_total',
    from: 'speculative_tokens_accepted_total',
    help: 'Draft tokens accepted',
  },
  { name: 'vllm:time_to_first_token_seconds', from: 'time_to_first_token_seconds', help: 'Time to first token' },
  { name: 'vllm:inter_token_latency_seconds', from: 'inter_token_latency_seconds', help: 'Inter-token latency' },
  {
    name: 'vllm:e2e_request_latency_seconds',
    from: 'request_latency_seconds',
    help: 'End-to-end latency of requests with output',
    summed: true,
  },
];

/** Its labels come from `engine_info`. */
export const VLLM_CACHE_CONFIG_INFO = 'vllm:cache_config_info';
