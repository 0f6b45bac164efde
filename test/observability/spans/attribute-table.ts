import type { SpanName } from '../../../src/observability/spans/index.ts';

/**
 * Every attribute that a span may have: the specification's, then those of the conventions and the further ones that were
 * decided on. `?` marks those that a request without HTTP, without an answer or without an opt-in lacks.
 */
export const SPAN_ATTRIBUTES: Readonly<Record<SpanName, readonly string[]>> = {
  'gateway.request': [
    'user_id?',
    'model',
    'prompt_tokens?',
    'max_tokens?',
    'output_tokens?',
    'status',
    'http.request.method?',
    'http.route?',
    'http.response.status_code?',
    'gen_ai.operation.name?',
    'gen_ai.provider.name',
    'gen_ai.request.model?',
    'gen_ai.request.max_tokens?',
    'gen_ai.request.temperature?',
    'gen_ai.request.top_p?',
    'gen_ai.request.stream?',
    'gen_ai.usage.input_tokens?',
    'gen_ai.usage.output_tokens?',
    'gen_ai.usage.cache_read.input_tokens?',
    'gen_ai.response.id?',
    'gen_ai.response.finish_reasons?',
    'error.type?',
  ],
  'engine.process': [
    'request_id',
    'status',
    'ttft_ms?',
    'total_tokens',
    'gen_ai.request.id',
    'gen_ai.latency.time_to_first_token?',
    'gen_ai.latency.e2e',
    'gen_ai.latency.time_in_queue?',
    'gen_ai.latency.time_in_model_prefill?',
    'gen_ai.latency.time_in_model_decode?',
    'gen_ai.latency.time_in_model_inference?',
  ],
  'scheduler.enqueue': ['queue_position', 'gen_ai.latency.time_in_queue', 'preemptions'],
  'memory.allocate': ['blocks_allocated', 'blocks_available', 'cached_blocks'],
  'executor.forward': [
    'batch_size',
    'phase',
    'iterations',
    'batch_size_min',
    'batch_size_mean',
    'batch_size_max',
    'sequence_lengths_count',
    'sequence_lengths_sum',
    'sequence_lengths_max',
  ],
  'gpu.compute': ['kernel_name', 'gpu_id'],
  'sampler.sample': ['temperature', 'top_p', 'token_id?'],
  'engine.step': [
    'engine.step',
    'engine.steps',
    'batch_size',
    'sequence_lengths',
    'engine.prefill_tokens',
    'engine.decode_tokens',
    'engine.waiting',
    'engine.swapped',
    'engine.head_waits_for?',
    'kv_cache.blocks_used',
  ],
};

/** Parents by name; null = the caller, or nobody. */
export const SPAN_PARENTS: Readonly<Record<SpanName, SpanName | null>> = {
  'gateway.request': null,
  'engine.step': null,
  'engine.process': 'gateway.request',
  'scheduler.enqueue': 'engine.process',
  'memory.allocate': 'scheduler.enqueue',
  'executor.forward': 'engine.process',
  'gpu.compute': 'executor.forward',
  'sampler.sample': 'executor.forward',
};

/** What is wrong with a span's attributes, in words; empty = nothing. */
export function attributeFaults(name: string, attributes: readonly string[]): string[] {
  const table = SPAN_ATTRIBUTES[name as SpanName];
  if (table === undefined) return [`${name} is no span of the specification`];
  const allowed = new Set(table.map((each) => each.replace('?', '')));
  const unknown = attributes.filter((each) => !allowed.has(each)).map((each) => `${name} has ${each}`);
  const missing = table.filter((each) => !each.endsWith('?') && !attributes.includes(each));
  return [...unknown, ...missing.map((each) => `${name} lacks ${each}`)];
}
