import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { acceptsOpenMetrics, createMetricsPage, renderMetrics } from '../../src/observability/index.ts';
import { type MeteredRequest, meteredRun } from './metered-run.ts';

const REQUESTS: readonly MeteredRequest[] = Array.from({ length: 12 }, (_, i) => ({
  arrivalNs: i * 5e6,
  stream: 1 + (i % 3),
  promptTokens: 100 + 10 * i,
  outputTokensMax: 5 + 12 * i,
}));

/** name{labels} -> value, as a scraper reads it; throws on a line that is none. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = /^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) ([-+0-9.eInf]+)(?: # \{.*)?$/.exec(line);
    if (match === null) throw new Error(`not a sample: ${line}`);
    if (samples.has(match[1]!)) throw new Error(`twice: ${line}`);
    samples.set(match[1]!, Number(match[2]!.replace('+Inf', 'Infinity')));
  }
  return samples;
}

describe('a scrape', () => {
  it('says the same in both formats', async () => {
    const { page } = meteredRun({ requests: REQUESTS });
    const text = parse(await renderMetrics(page, { openMetrics: false, vllmAliases: true }));
    const open = parse(await renderMetrics(page, { openMetrics: true, vllmAliases: true }));
    expect(open).toEqual(text);
    expect(text.get('scheduler_sequences_finished_total{finish_reason="length"}')).toBe(12);
  });

  it('keeps the names of counters however often the format changes', async () => {
    const { page } = meteredRun({ requests: REQUESTS });
    const first = await renderMetrics(page, { openMetrics: false, vllmAliases: false });
    for (let i = 0; i < 3; i++) await renderMetrics(page, { openMetrics: true, vllmAliases: false });
    expect(await renderMetrics(page, { openMetrics: false, vllmAliases: false })).toBe(first);
    expect(first).toMatch(/^# TYPE decode_tokens_total counter$/m);
  });

  it('ends in EOF in OpenMetrics, where families of counters have no suffix', async () => {
    const text = await renderMetrics(createMetricsPage(), { openMetrics: true, vllmAliases: false });
    expect(text.endsWith('\n# EOF\n')).toBe(true);
    expect(text).toMatch(/^# TYPE decode_tokens counter\ndecode_tokens_total 0$/m);
    expect(text).toMatch(/^# TYPE kv_cache_blocks_total gauge$/m);
  });

  it('has cumulative buckets whose last is the count', async () => {
    const { page } = meteredRun({ requests: REQUESTS });
    const samples = parse(await renderMetrics(page, { openMetrics: false, vllmAliases: false }));
    let histograms = 0;
    for (const [name, value] of samples) {
      const at = /^(\w+)_count(\{.*\})?$/.exec(name);
      if (at === null || !samples.has(`${at[1]}_sum${at[2] ?? ''}`)) continue;
      histograms++;
      const inner = at[2] === undefined ? '' : `${at[2].slice(1, -1)},`;
      const buckets = [...samples].filter(([bucket]) => bucket.startsWith(`${at[1]}_bucket{${inner}le=`));
      expect(buckets.at(-1)).toEqual([`${at[1]}_bucket{${inner}le="+Inf"}`, value]);
      expect(buckets.every(([, count], i) => i === 0 || count >= buckets[i - 1]![1])).toBe(true);
    }
    expect(histograms).toBeGreaterThan(12);
  });

  it('tells what the engine is, and what its GPU says', async () => {
    const { page } = meteredRun({ requests: REQUESTS });
    const samples = parse(await renderMetrics(page, { openMetrics: false, vllmAliases: false }));
    expect(samples.get('engine_info{backend="simulator",model="m",block_size="16",num_gpu_blocks="96"}')).toBe(1);
    expect(samples.get('gpu_health_status{gpu_id="0"}')).toBe(1);
    expect(samples.has('gpu_health_status{gpu_id="1"}')).toBe(false);
    expect(samples.get('gpu_memory_allocated_bytes{gpu_id="0",category="model"}')).toBe(16 * 2 ** 30);
    expect(samples.get('gpu_compute_utilization{gpu_id="0"}')).toBeGreaterThan(0);
  });

  it("has vllm's names on demand, with vllm's meaning", async () => {
    const { page } = meteredRun({ requests: REQUESTS });
    const plain = await renderMetrics(page, { openMetrics: false, vllmAliases: false });
    expect(plain).not.toContain('vllm:');
    const samples = parse(await renderMetrics(page, { openMetrics: false, vllmAliases: true }));
    const hits = samples.get('prefix_cache_hit_total')!;
    expect(hits).toBeGreaterThan(0);
    expect(samples.get('vllm:prefix_cache_hits_total')).toBe(16 * hits);
    expect(samples.get('vllm:prefix_cache_queries_total')).toBe(16 * (hits + samples.get('prefix_cache_miss_total')!));
    expect(samples.get('vllm:request_success_total{finished_reason="length"}')).toBe(12);
    expect(samples.get('vllm:cache_config_info{block_size="16",num_gpu_blocks="96"}')).toBe(1);
    expect(samples.get('vllm:e2e_request_latency_seconds_count')).toBe(12);
  });

  it('attaches exemplars of kept traces to buckets, in OpenMetrics alone', async () => {
    const { page } = meteredRun({ requests: REQUESTS });
    const exemplars = (metric: string, _series: readonly string[], bucket: number) =>
      metric === 'time_to_first_token_seconds' && bucket === 2
        ? { labelSet: { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' }, value: 0.03, timestamp: 12.5 }
        : null;
    const open = await renderMetrics(page, { openMetrics: true, vllmAliases: false, exemplars });
    expect(open).toMatch(
      /^time_to_first_token_seconds_bucket\{le="0.05"\} \d+ # \{trace_id="4bf92f3577b34da6a3ce929d0e0e4736"\} 0.03 12.5$/m,
    );
    expect(open.match(/ # \{/g)).toHaveLength(1);
    expect(await renderMetrics(page, { openMetrics: false, vllmAliases: false, exemplars })).not.toContain('trace_id');
    expect(await renderMetrics(page, { openMetrics: true, vllmAliases: false })).not.toContain('trace_id');
  });

  it.each([
    ['application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4', true],
    ['text/plain', false],
    ['application/openmetrics-textual', false],
    [undefined, false],
  ])('takes the Accept header %s: OpenMetrics %s', (accept, expected) => {
    expect(acceptsOpenMetrics(accept)).toBe(expected);
  });
});

const promtool = findPromtool();

describe.skipIf(promtool === null)('promtool (Debian package prometheus)', () => {
  it.each([false, true])('has nothing to say but the one known lint; aliases: %s', async (vllmAliases) => {
    const { page } = meteredRun({ requests: REQUESTS });
    const input = await renderMetrics(page, { openMetrics: false, vllmAliases });
    let complaints = '';
    try {
      execFileSync(promtool!, ['check', 'metrics'], { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
    } catch (error) {
      complaints = (error as { stderr: string }).stderr;
    }
    const lines = complaints.split('\n').filter((line) => line !== '' && !ALLOWED.some((lint) => lint.test(line)));
    expect(lines).toEqual([]);
  });
});

/** A gauge with the suffix that the specification gives it, and the names that vLLM has. */
const ALLOWED = [
  /^kv_cache_blocks_total non-counter metrics should not have "_total" suffix$/,
  /^vllm:\w+ metric names should not contain ':'$/,
];

function findPromtool(): string | null {
  try {
    return execFileSync('which', ['promtool'], { encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
}
