import { describe, expect, it } from 'vitest';
import {
  CATALOGUE,
  createMetricsPage,
  type MetricDefinition,
  renderMetrics,
  seriesOf,
} from '../../src/observability/index.ts';
import { metricsDocument, undocumentedMetrics } from '../../src/observability/metrics-doc.ts';
import { readRepositoryFile } from '../support/repository-files.ts';
import { meteredRun } from './metered-run.ts';

/** Names, kinds and labels of the specification. */
type Labels = Readonly<Record<string, readonly string[]>>;
const SPECIFIED: readonly (readonly [name: string, type: string, labels?: Labels])[] = [
  ['scheduler_waiting_queue_size', 'gauge'],
  ['scheduler_running_batch_size', 'gauge'],
  ['scheduler_swapped_queue_size', 'gauge'],
  ['scheduler_iteration_latency_seconds', 'histogram'],
  ['scheduler_allocation_latency_seconds', 'histogram'],
  ['scheduler_preemptions_total', 'counter', { reason: ['memory_pressure', 'priority'] }],
  ['scheduler_sequences_finished_total', 'counter', { finish_reason: ['stop', 'length', 'abort', 'error'] }],
  ['kv_cache_blocks_total', 'gauge'],
  ['kv_cache_blocks_used', 'gauge'],
  ['kv_cache_utilization_ratio', 'gauge'],
  ['prefix_cache_entries', 'gauge'],
  ['prefix_cache_hit_total', 'counter'],
  ['prefix_cache_miss_total', 'counter'],
  ['prefix_cache_hit_rate', 'gauge'],
  ['prefix_cache_evictions_total', 'counter'],
  ['gpu_memory_used_bytes', 'gauge', { gpu_id: ['0'] }],
  ['gpu_memory_allocated_bytes', 'gauge', { gpu_id: ['0'], category: ['model', 'kv_cache', 'activations'] }],
  ['prefill_tokens_total', 'counter'],
  ['decode_tokens_total', 'counter'],
  ['tokens_per_second', 'gauge', { phase: ['prefill', 'decode', 'combined'] }],
  ['time_to_first_token_seconds', 'histogram'],
  ['inter_token_latency_seconds', 'histogram'],
  ['request_latency_seconds', 'histogram', { output_token_bucket: ['1-10', '10-50', '50-100', '100+'] }],
  ['speculative_acceptance_rate', 'gauge'],
  ['speculative_tokens_accepted_total', 'counter'],
  ['speculative_tokens_rejected_total', 'counter'],
  ['gpu_compute_utilization', 'gauge', { gpu_id: ['0'] }],
  ['gpu_memory_bandwidth_utilization', 'gauge', { gpu_id: ['0'] }],
  ['gpu_health_status', 'gauge', { gpu_id: ['0'] }],
  [
    'gateway_requests_total',
    'counter',
    { outcome: ['success', 'client_error', 'rejected', 'cancelled', 'server_error'] },
  ],
  ['scheduler_seconds_since_last_iteration', 'gauge'],
  [
    'scheduler_phase_latency_seconds',
    'histogram',
    { phase: ['collect_finished', 'allocate_running', 'admit_waiting', 'build_batch'] },
  ],
  ['kv_cache_blocks_cached', 'gauge'],
  ['kv_cache_orphaned_blocks', 'gauge'],
  ['kv_cache_ref_mismatch_blocks', 'gauge'],
  ['kv_cache_audits_total', 'counter'],
  ['request_queue_time_seconds', 'histogram'],
  ['request_prompt_tokens', 'histogram'],
  ['request_output_tokens', 'histogram'],
  ['gpu_forward_seconds_total', 'counter', { phase: ['prefill', 'decode'] }],
  ['engine_info', 'info', { backend: [], model: [], block_size: [], num_gpu_blocks: [], version: [] }],
];

/** Boundaries of the specification: more are allowed, none may go. */
const BOUNDARIES: Readonly<Record<string, readonly number[]>> = {
  scheduler_iteration_latency_seconds: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05],
  scheduler_allocation_latency_seconds: [0.00001, 0.0001, 0.0005, 0.001],
  time_to_first_token_seconds: [0.05, 0.1, 0.2, 0.5, 1, 2, 5],
  inter_token_latency_seconds: [0.01, 0.02, 0.05, 0.1, 0.2],
};

/** Targets and alert lines of the specification: which figure of a metric should be, or must not be, on which side of what. */
const LIMITS: readonly (readonly [name: string, kind: string, of: string, comparison: string, value: number])[] = [
  ['scheduler_waiting_queue_size', 'warning', 'value', '>', 100],
  ['scheduler_swapped_queue_size', 'warning', 'value', '>', 50],
  ['scheduler_iteration_latency_seconds', 'target', 'p99', '<', 0.001],
  ['scheduler_iteration_latency_seconds', 'warning', 'p99', '>', 0.005],
  ['scheduler_iteration_latency_seconds', 'critical', 'p99', '>', 0.05],
  ['scheduler_allocation_latency_seconds', 'target', 'p99', '<', 0.0001],
  ['scheduler_phase_latency_seconds', 'warning', 'value', '>', 0.001],
  ['scheduler_preemptions_total', 'warning', 'per-minute', '>', 5],
  ['scheduler_preemptions_total', 'critical', 'per-minute', '>', 10],
  ['kv_cache_utilization_ratio', 'target', 'value', '>', 0.7],
  ['kv_cache_utilization_ratio', 'target', 'value', '<', 0.9],
  ['kv_cache_utilization_ratio', 'warning', 'value', '>', 0.9],
  ['kv_cache_utilization_ratio', 'warning', 'value', '>', 0.95],
  ['kv_cache_utilization_ratio', 'critical', 'value', '>', 0.98],
  ['prefix_cache_hit_rate', 'target', 'value', '>', 0.3],
  ['prefix_cache_hit_rate', 'warning', 'value', '<', 0.2],
  ['prefix_cache_evictions_total', 'warning', 'per-minute', '>', 100],
  ['tokens_per_second', 'target', 'value', '>', 50_000],
  ['time_to_first_token_seconds', 'target', 'p99', '<', 0.2],
  ['time_to_first_token_seconds', 'warning', 'p99', '>', 0.3],
  ['time_to_first_token_seconds', 'critical', 'p99', '>', 0.5],
  ['inter_token_latency_seconds', 'target', 'p99', '<', 0.05],
  ['speculative_acceptance_rate', 'target', 'value', '>', 0.7],
  ['speculative_acceptance_rate', 'warning', 'value', '<', 0.5],
  ['gpu_compute_utilization', 'target', 'value', '>', 70],
  ['gpu_health_status', 'critical', 'value', '<', 1],
];

function find(name: string): MetricDefinition {
  const found = CATALOGUE.find((metric) => metric.name === name);
  if (found === undefined) throw new Error(`${name} is not in the catalogue`);
  return found;
}

describe('the catalogue', () => {
  it.each(SPECIFIED.map(([name, type, labels = {}]) => ({ name, type, labels })))(
    'has $name',
    ({ name, type, labels }) => {
      const metric = find(name);
      expect(metric.type).toBe(type);
      expect((metric.labels ?? []).map((label) => label.name)).toEqual(Object.keys(labels));
      for (const label of metric.labels ?? [])
        expect(label.values).toEqual(expect.arrayContaining([...labels[label.name]!]));
    },
  );

  it('names every metric once, and describes it', () => {
    expect(new Set(CATALOGUE.map(({ name }) => name)).size).toBe(CATALOGUE.length);
    expect(CATALOGUE.filter(({ help, unit }) => help === '' || unit === '')).toEqual([]);
  });

  it.each(Object.entries(BOUNDARIES))('keeps the boundaries of %s', (name, bounds) => {
    expect(find(name).buckets).toEqual(expect.arrayContaining([...bounds]));
  });

  it.each(LIMITS)('says of %s: %s %s %s %s', (name, kind, of, comparison, value) => {
    expect(find(name).thresholds).toContainEqual({ kind, of, comparison, value });
  });

  it('has ascending buckets for histograms and none for the others', () => {
    for (const { type, buckets } of CATALOGUE) {
      if (type !== 'histogram') expect(buckets).toBeUndefined();
      else expect(buckets!.every((bound, i) => i === 0 || bound > buckets![i - 1]!)).toBe(true);
    }
  });

  it('has each threshold of a percentile as a boundary with finite neighbours, so that it can be crossed', () => {
    const judged = CATALOGUE.flatMap(({ name, buckets = [], thresholds = [] }) =>
      thresholds
        .filter(({ of }) => of === 'p99')
        .map(({ value }) => ({ name, value, at: buckets.indexOf(value), buckets })),
    );
    expect(judged.length).toBeGreaterThan(5);
    expect(judged.filter(({ at, buckets }) => at <= 0 || at >= buckets.length - 1)).toEqual([]);
  });
});

describe('the size of a scrape', () => {
  const samples = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;

  it('is at most 450 series with one GPU, and 7 more for each further one', async () => {
    const { page } = meteredRun({ requests: [{ arrivalNs: 0, stream: 1, promptTokens: 64, outputTokensMax: 4 }] });
    const size = samples(await renderMetrics(page, { openMetrics: false, vllmAliases: false }));
    expect(size).toBeGreaterThan(350);
    expect(size).toBeLessThanOrEqual(450);
    const ofGpu = (gpu: string) =>
      CATALOGUE.flatMap((metric) => {
        const label = (metric.labels ?? []).findIndex(({ name }) => name === 'gpu_id');
        return label < 0 ? [] : seriesOf(metric).filter((values) => values[label] === gpu);
      }).length;
    expect([ofGpu('0'), ofGpu('1')]).toEqual([7, 7]);
  });

  it('does not grow with what happens', async () => {
    const few = meteredRun({ requests: [{ arrivalNs: 0, stream: 1, promptTokens: 64, outputTokensMax: 4 }] });
    const many = meteredRun({
      requests: Array.from({ length: 60 }, (_, i) => ({
        arrivalNs: i,
        stream: i,
        promptTokens: 90,
        outputTokensMax: 90,
      })),
    });
    const options = { openMetrics: false, vllmAliases: true };
    expect(samples(await renderMetrics(many.page, options))).toBe(samples(await renderMetrics(few.page, options)));
  });

  it('has no sample of what nobody has said yet', async () => {
    const text = await renderMetrics(createMetricsPage(), { openMetrics: false, vllmAliases: true });
    expect(text).not.toMatch(
      /^(prefix_cache_hit_rate|speculative_acceptance_rate|gpu_(memory|compute|health)\w*\{|engine_info)/m,
    );
    expect(text).not.toMatch(/ nan$/im);
  });
});

describe('docs/METRICS.md', () => {
  it('is what the catalogue says (else: npx tsx src/runtime/write-metrics-doc.ts)', () => {
    expect(readRepositoryFile('docs/METRICS.md')).toBe(metricsDocument());
  });

  it('leaves nothing out', () => {
    expect(undocumentedMetrics()).toEqual([]);
  });
});
