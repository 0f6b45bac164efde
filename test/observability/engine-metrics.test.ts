import { describe, expect, it } from 'vitest';
import { type FinishReason, NO_SINK, Request, StreamTokens } from '../../src/core/index.ts';
import { PLACES } from '../../src/observability/page-layout.ts';
import { meteredRun } from './metered-run.ts';

const MS = 1e6;

describe("the engine's series", () => {
  it('count looked-up blocks as hits or misses, once per sequence, of leaders alone', () => {
    // 100 tokens are 6 full blocks of 16; all the later ones share the stream's beginning.
    const requests = [0, 50, 100].map((ms) => ({
      arrivalNs: ms * MS,
      stream: 1,
      promptTokens: 100,
      outputTokensMax: 3,
      n: 2,
    }));
    const { snapshot } = meteredRun({ requests });
    expect(snapshot.value('prefix_cache_hit_total')).toBe(12);
    expect(snapshot.value('prefix_cache_miss_total')).toBe(6);
    expect(snapshot.value('prefix_cache_hit_rate')).toBeCloseTo(12 / 18, 12);
  });

  it('look nothing up without a prefix cache, and then have no hit rate', () => {
    const requests = [{ arrivalNs: 0, stream: 1, promptTokens: 100, outputTokensMax: 3 }];
    const { snapshot } = meteredRun({ requests, config: { prefixCaching: false } });
    expect(snapshot.value('prefix_cache_hit_total') + snapshot.value('prefix_cache_miss_total')).toBe(0);
    expect(snapshot.value('prefix_cache_hit_rate')).toBeNaN();
    expect(snapshot.value('speculative_acceptance_rate')).toBeNaN();
  });

  it('are the same whether steps are submitted one by one or in runs', () => {
    const requests = Array.from({ length: 6 }, (_, i) => ({
      arrivalNs: i * MS,
      stream: i,
      promptTokens: 60,
      outputTokensMax: 40 + 17 * i,
    }));
    const config = { blocksTotal: 400 };
    const single = meteredRun({ requests, config, runs: false }).snapshot;
    const runs = meteredRun({ requests, config, runs: true }).snapshot;
    expect(runs.count('inter_token_latency_seconds')).toBe(single.count('inter_token_latency_seconds'));
    for (const name of [
      'inter_token_latency_seconds',
      'time_to_first_token_seconds',
      'scheduler_iteration_latency_seconds',
      'request_latency_seconds',
    ] as const) {
      const { at, series, stride } = PLACES.get(name)!;
      const cells = (of: typeof single) => [...of.cells.slice(at, at + series.length * stride)];
      const [expected, found] = [cells(single), cells(runs)];
      // Sums are added up in another order.
      for (const [i, value] of found.entries()) expect(value, `${name} cell ${i}`).toBeCloseTo(expected[i]!, 9);
    }
  });

  it('report a first token when it comes, not when its request ends', () => {
    let early = 0;
    meteredRun({
      requests: [{ arrivalNs: 0, stream: 1, promptTokens: 60, outputTokensMax: 400 }],
      runs: false,
      seen: (now) => {
        if (now.sum('scheduler_sequences_finished_total') === 0) early = now.count('time_to_first_token_seconds');
      },
    });
    expect(early).toBe(1);
  });

  it('see the first token of a prompt of one token, whose very first submission is a run of steps', () => {
    const { snapshot } = meteredRun({
      requests: [{ arrivalNs: 0, stream: 1, promptTokens: 1, outputTokensMax: 9 }],
    });
    expect(snapshot.count('time_to_first_token_seconds')).toBe(1);
    expect(snapshot.count('inter_token_latency_seconds')).toBe(8);
  });

  it.each<readonly [FinishReason, number]>([
    ['length', 1],
    ['abort', 2],
    ['timeout', 3],
    ['error', 4],
  ])('count a sequence that ends as %s', (reason, series) => {
    const { snapshot } = meteredRun({
      requests: [
        {
          arrivalNs: 0,
          stream: 1,
          promptTokens: 60,
          outputTokensMax: 400,
          ...(reason === 'abort' ? { abortNs: 50 * MS } : {}),
          ...(reason === 'timeout' ? { deadlineNs: 50 * MS } : {}),
        },
      ],
      faults: reason === 'error' ? [{ kind: 'sticky', atNs: 50 * MS, message: 'asked for' }] : [],
    });
    expect(snapshot.value('scheduler_sequences_finished_total', series)).toBe(1);
    expect(snapshot.sum('scheduler_sequences_finished_total')).toBe(1);
  });

  it('tell a failed GPU from a healthy one', () => {
    const health: number[] = [];
    meteredRun({
      requests: [
        { arrivalNs: 0, stream: 1, promptTokens: 60, outputTokensMax: 3 },
        { arrivalNs: 2000 * MS, stream: 2, promptTokens: 60, outputTokensMax: 3 },
      ],
      faults: [{ kind: 'unhealthy', fromNs: 1000 * MS, toNs: 3000 * MS, gpu: 0 }],
      seen: (now) => health.push(now.value('gpu_health_status')),
    });
    expect(health[0]).toBe(1);
    expect(health.at(-1)).toBe(0);
  });

  it('go on from what the page holds when an engine is started again', () => {
    const first = meteredRun({ requests: [{ arrivalNs: 0, stream: 1, promptTokens: 60, outputTokensMax: 30 }] });
    expect(first.snapshot.value('decode_tokens_total')).toBe(30);
    first.metrics.attach(first.engine);
    first.snapshot.take(first.page);
    expect(first.snapshot.value('decode_tokens_total')).toBeGreaterThanOrEqual(30);
  });

  it('show the running, the waiting and what they hold between steps', () => {
    const { engine, page, metrics, snapshot } = meteredRun({ requests: [] });
    engine.submit(
      new Request(1, engine.clock.nowNs(), { prompt: new StreamTokens(40, 1), outputTokensMax: 5 }),
      NO_SINK,
    );
    metrics.sample(engine.clock.nowNs());
    snapshot.take(page);
    expect(snapshot.value('scheduler_waiting_queue_size')).toBe(1);
    engine.abort(1);
    metrics.sample(engine.clock.nowNs());
    snapshot.take(page);
    expect(snapshot.value('scheduler_waiting_queue_size')).toBe(0);
  });

  it('keep what an audit found', () => {
    const { page, metrics, snapshot } = meteredRun({ requests: [] });
    metrics.audited(2, 1);
    metrics.audited(0, 3);
    snapshot.take(page);
    expect(snapshot.value('kv_cache_audits_total')).toBe(2);
    expect([snapshot.value('kv_cache_orphaned_blocks'), snapshot.value('kv_cache_ref_mismatch_blocks')]).toEqual([
      0, 3,
    ]);
  });
});
