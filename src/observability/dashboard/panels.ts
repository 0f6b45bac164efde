import { GPUS_MAX } from '../catalogue-memory.ts';
import { type PanelDefinition, type PanelSeries, thresholdsOf } from './panel-definition.ts';
import type { PanelExpression, Selection } from './panel-expression.ts';

const TTFT = 'time_to_first_token_seconds';
const QUEUE_TIME = 'request_queue_time_seconds';
const finishes = (...values: string[]): Selection => ({
  metric: 'scheduler_sequences_finished_total',
  where: { finish_reason: values },
});
const rate = (...of: Selection[]): PanelExpression => ({ kind: 'rate', of, per: 'second' });
const perMinute = (...of: Selection[]): PanelExpression => ({ kind: 'rate', of, per: 'minute' });
const quantile = (of: Extract<PanelExpression, { kind: 'quantile' }>['of'], q: number): PanelExpression => ({
  kind: 'quantile',
  quantile: q,
  of,
});
const mean = (of: Extract<PanelExpression, { kind: 'mean' }>['of']): PanelExpression => ({ kind: 'mean', of });
const gauge = (of: Selection): PanelExpression => ({ kind: 'gauge', of });
const p50AndP99 = (of: Extract<PanelExpression, { kind: 'quantile' }>['of']): readonly PanelSeries[] => [
  { label: 'p50', colour: 'blue', expression: quantile(of, 0.5) },
  { label: 'p99', colour: 'amber', expression: quantile(of, 0.99) },
];

const LATENCY: readonly PanelDefinition[] = [
  {
    id: 'ttft',
    row: 'latency',
    title: 'TTFT',
    kind: 'heatmap',
    unit: 'seconds',
    windowSeconds: 10,
    help: 'How many first tokens came after how long: the darker, the more. The line is the p99.',
    series: [{ label: 'p99', colour: 'amber', expression: quantile(TTFT, 0.99) }],
    thresholds: thresholdsOf(TTFT, 'p99'),
  },
  {
    id: 'itl',
    row: 'latency',
    title: 'Inter-token latency',
    kind: 'lines',
    unit: 'seconds',
    windowSeconds: 60,
    help: 'Time between consecutive tokens of a sequence. Spikes of the p99 alone: long prefills or preemptions in between.',
    series: p50AndP99('inter_token_latency_seconds'),
    thresholds: thresholdsOf('inter_token_latency_seconds', 'p99'),
  },
  {
    id: 'ttft-parts',
    row: 'latency',
    title: 'TTFT decomposition',
    kind: 'stacked',
    unit: 'seconds',
    windowSeconds: 60,
    help: 'Where the mean time to the first token goes: waiting for a place, computing the prompt, and the rest (tokenizer, gateway).',
    series: [
      { label: 'queue', colour: 'amber', expression: mean(QUEUE_TIME) },
      { label: 'prefill', colour: 'teal', expression: { kind: 'above', from: mean(TTFT), less: mean(QUEUE_TIME) } },
      {
        label: 'rest',
        colour: 'slate',
        expression: {
          kind: 'above',
          from: { kind: 'first', of: [mean('gateway_time_to_first_token_seconds'), mean(TTFT)] },
          less: mean(TTFT),
        },
      },
    ],
    thresholds: [],
  },
  {
    id: 'queue-time',
    row: 'latency',
    title: 'Queue time',
    kind: 'lines',
    unit: 'seconds',
    windowSeconds: 60,
    help: 'Arrival until first taken into the batch. A p99 that grows while the batch is full: more capacity is needed.',
    series: p50AndP99(QUEUE_TIME),
    thresholds: [],
  },
];

const THROUGHPUT: readonly PanelDefinition[] = [
  {
    id: 'tokens',
    row: 'throughput',
    title: 'Tokens per second',
    kind: 'stacked',
    unit: 'tokens/s',
    windowSeconds: 30,
    help: 'Prompt tokens computed, and output tokens delivered on top of them.',
    series: [
      { label: 'prefill', colour: 'teal', expression: rate({ metric: 'prefill_tokens_total' }) },
      { label: 'decode', colour: 'blue', expression: rate({ metric: 'decode_tokens_total' }) },
    ],
    thresholds: [],
  },
  {
    id: 'queues',
    row: 'throughput',
    title: 'Queue sizes',
    kind: 'lines',
    unit: 'count',
    windowSeconds: 0,
    help: 'Sequences that wait, run, and lie swapped out in host memory.',
    series: [
      { label: 'waiting', colour: 'amber', expression: gauge({ metric: 'scheduler_waiting_queue_size' }) },
      { label: 'running', colour: 'blue', expression: gauge({ metric: 'scheduler_running_batch_size' }) },
      { label: 'swapped', colour: 'violet', expression: gauge({ metric: 'scheduler_swapped_queue_size' }) },
    ],
    thresholds: thresholdsOf('scheduler_waiting_queue_size', 'value'),
  },
  {
    id: 'finishes',
    row: 'throughput',
    title: 'Finish reasons',
    kind: 'stacked',
    unit: 'requests/s',
    windowSeconds: 60,
    help: 'Sequences that ended, by reason. Abort: the client left; timeout: its deadline passed; error: our fault.',
    series: [
      { label: 'stop', colour: 'blue', expression: rate(finishes('stop')) },
      { label: 'length', colour: 'teal', expression: rate(finishes('length')) },
      { label: 'abort', colour: 'slate', expression: rate(finishes('abort')) },
      { label: 'timeout', colour: 'amber', expression: rate(finishes('timeout')) },
      { label: 'error', colour: 'rose', expression: rate(finishes('error')) },
    ],
    thresholds: [],
  },
  {
    id: 'preemptions',
    row: 'throughput',
    title: 'Preemptions',
    kind: 'lines',
    unit: 'per minute',
    windowSeconds: 300,
    help: 'Sequences taken out of the batch so that others can go on: work that is done twice or swapped.',
    series: [
      { label: 'preemptions', colour: 'rose', expression: perMinute({ metric: 'scheduler_preemptions_total' }) },
    ],
    thresholds: thresholdsOf('scheduler_preemptions_total', 'per-minute'),
  },
];

const eachGpu = Array.from({ length: GPUS_MAX }, (_, gpu) => String(gpu));
/** GPU 0 has the plain colours; the page hides the lines of GPUs that are not there. */
const GPU_COLOURS = ['blue', 'teal', 'violet', 'rose', 'green', 'cyan', 'slate', 'amber'] as const;

const MEMORY: readonly PanelDefinition[] = [
  {
    id: 'kv',
    row: 'memory',
    title: 'KV cache utilization',
    kind: 'gauge',
    unit: 'ratio',
    windowSeconds: 0,
    help: 'Blocks referenced by live sequences, of all. 70 to 90 % is the target: below it capacity is idle, above it preemptions begin.',
    series: [
      { label: 'used', colour: 'blue', expression: gauge({ metric: 'kv_cache_utilization_ratio' }) },
      {
        label: 'cached',
        colour: 'slate',
        dashed: true,
        expression: {
          kind: 'share',
          of: { metric: 'kv_cache_blocks_cached' },
          to: { metric: 'kv_cache_blocks_total' },
        },
      },
    ],
    thresholds: thresholdsOf('kv_cache_utilization_ratio', 'value'),
    top: 1,
  },
  {
    id: 'gpu',
    row: 'memory',
    title: 'GPU',
    kind: 'lines',
    unit: 'percent',
    windowSeconds: 0,
    help: 'SM utilization and memory bandwidth of each GPU. Decode is bound by bandwidth, prefill by compute.',
    series: [
      ...eachGpu.map((gpu, i) => ({
        label: `GPU ${gpu} compute`,
        colour: GPU_COLOURS[i]!,
        each: 'gpu_id' as const,
        expression: gauge({ metric: 'gpu_compute_utilization', where: { gpu_id: [gpu] } }),
      })),
      ...eachGpu.map((gpu, i) => ({
        label: `GPU ${gpu} bandwidth`,
        colour: i === 0 ? ('amber' as const) : GPU_COLOURS[i]!,
        dashed: true,
        each: 'gpu_id' as const,
        expression: gauge({ metric: 'gpu_memory_bandwidth_utilization', where: { gpu_id: [gpu] } }),
      })),
    ],
    thresholds: thresholdsOf('gpu_compute_utilization', 'value'),
    top: 100,
  },
];

const CACHE: readonly PanelDefinition[] = [
  {
    id: 'prefix-hits',
    row: 'cache',
    title: 'Prefix cache hit rate',
    kind: 'lines',
    unit: 'ratio',
    windowSeconds: 300,
    help: 'Full prompt blocks found in the prefix cache, of those looked up.',
    series: [
      {
        label: 'hits',
        colour: 'teal',
        expression: {
          kind: 'ratio',
          of: [{ metric: 'prefix_cache_hit_total' }],
          to: [{ metric: 'prefix_cache_hit_total' }, { metric: 'prefix_cache_miss_total' }],
        },
      },
    ],
    thresholds: thresholdsOf('prefix_cache_hit_rate', 'value'),
    top: 1,
  },
  {
    id: 'acceptance',
    row: 'cache',
    title: 'Speculative acceptance',
    kind: 'lines',
    unit: 'ratio',
    windowSeconds: 300,
    help: 'Draft tokens accepted, of those verified. Empty while speculation is off.',
    series: [
      {
        label: 'accepted',
        colour: 'violet',
        expression: {
          kind: 'ratio',
          of: [{ metric: 'speculative_tokens_accepted_total' }],
          to: [{ metric: 'speculative_tokens_accepted_total' }, { metric: 'speculative_tokens_rejected_total' }],
        },
      },
    ],
    thresholds: thresholdsOf('speculative_acceptance_rate', 'value'),
    top: 1,
  },
];

const HOST: readonly PanelDefinition[] = [
  {
    id: 'scheduling',
    row: 'gateway',
    title: 'Scheduling time per step',
    kind: 'lines',
    unit: 'seconds',
    windowSeconds: 60,
    help: "The host's own work for one step, without the forward pass. While it lasts the GPU may be idle.",
    series: p50AndP99('scheduler_iteration_latency_seconds'),
    thresholds: thresholdsOf('scheduler_iteration_latency_seconds', 'p99'),
  },
  {
    id: 'client-ttft',
    row: 'gateway',
    title: 'TTFT as the client sees it',
    kind: 'lines',
    unit: 'seconds',
    windowSeconds: 60,
    help: 'Arrival at the gateway until the first token is written, tokenizer and gateway included.',
    series: p50AndP99('gateway_time_to_first_token_seconds'),
    thresholds: thresholdsOf(TTFT, 'p99'),
    liveOnly: true,
  },
  {
    id: 'active-requests',
    row: 'gateway',
    title: 'Active requests',
    kind: 'lines',
    unit: 'count',
    windowSeconds: 0,
    help: 'Generation requests that have not ended, and those of them that are streams.',
    series: [
      { label: 'requests', colour: 'blue', expression: gauge({ metric: 'gateway_active_requests' }) },
      { label: 'streams', colour: 'teal', expression: gauge({ metric: 'gateway_active_streams' }) },
    ],
    thresholds: [],
    liveOnly: true,
  },
  {
    id: 'tokenizer',
    row: 'gateway',
    title: 'Tokenizer queue',
    kind: 'lines',
    unit: 'count',
    windowSeconds: 0,
    help: 'Prompts that wait for a tokenizer thread.',
    series: [{ label: 'waiting', colour: 'amber', expression: gauge({ metric: 'tokenizer_queue_size' }) }],
    thresholds: [],
    liveOnly: true,
  },
  {
    id: 'event-loop',
    row: 'gateway',
    title: 'Event loop',
    kind: 'lines',
    unit: 'ratio',
    windowSeconds: 0,
    help: "Share of the time in which the gateway's event loop was busy; near 100 % streams are late.",
    series: [{ label: 'busy', colour: 'blue', expression: gauge({ metric: 'event_loop_utilization_ratio' }) }],
    thresholds: [],
    top: 1,
    liveOnly: true,
  },
  {
    id: 'event-loop-delay',
    row: 'gateway',
    title: 'Event loop delay',
    kind: 'lines',
    unit: 'seconds',
    windowSeconds: 60,
    help: 'How much later than asked for timers of the gateway ran: what every stream waits in addition.',
    series: p50AndP99('event_loop_delay_seconds'),
    thresholds: [],
    liveOnly: true,
  },
];

/** Rows 2 to 6, in the order of the page. */
export const PANELS: readonly PanelDefinition[] = [...LATENCY, ...THROUGHPUT, ...MEMORY, ...CACHE, ...HOST];

export const ROW_TITLES: Readonly<Record<PanelDefinition['row'], string>> = {
  key: 'Key figures',
  latency: 'Latency',
  throughput: 'Throughput and queues',
  memory: 'Memory and GPU',
  cache: 'Cache and speculation',
  gateway: 'Host and gateway',
};
