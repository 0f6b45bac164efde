import { describe, expect, it } from 'vitest';
import {
  inRatio,
  keepReason,
  parseTraceparent,
  type RequestFacts,
  ratioPosition,
  requestSpans,
  type SequenceRecord,
  type Span,
  SpanIds,
  type SpanName,
  type TraceVerdict,
  traceContext,
} from '../../../src/observability/spans/index.ts';
import { attributeFaults, SPAN_ATTRIBUTES, SPAN_PARENTS } from './attribute-table.ts';
import { recordedRun } from './recorded-run.ts';

const DEVICE = { prefillKernel: 'prefill', decodeKernel: 'decode', gpuId: '0' };
const CONTEXT = traceContext(null, new Uint8Array(24).fill(0xab));

/** A call that was answered well, with everything that can be known. */
function facts(record: SequenceRecord): RequestFacts {
  return {
    context: CONTEXT,
    startNs: record.receivedNs,
    endNs: record.finishedNs,
    requestId: 'req-1',
    model: 'llama-70b',
    outcome: 'success',
    errorType: null,
    http: { method: 'POST', route: '/v1/completions', statusCode: 200 },
    generation: {
      operation: 'text_completion',
      requestModel: 'llama-70b',
      responseId: 'cmpl-req-1',
      maxTokens: 100,
      requestMaxTokens: 100,
      temperature: 0.7,
      topP: 0.9,
      stream: true,
      promptTokens: record.promptTokens,
      outputTokens: record.outputTokens,
      cachedPromptTokens: 0,
      finishReasons: ['length'],
      userId: '0123456789abcdef',
    },
  };
}

function treeOf(spans: readonly Span[]): string[] {
  const names = new Map(spans.map((each) => [each.spanId, each.name]));
  return spans.map((each) => `${names.get(each.parentSpanId ?? '') ?? 'nobody'} > ${each.name}`);
}

describe("the specification's example: 512 prompt tokens, 100 output tokens", () => {
  const [record] = recordedRun([{ promptTokens: 512, outputTokens: 100 }]).records;
  const spans = requestSpans(facts(record!), [record!], DEVICE);
  const one = (name: SpanName) => spans.find((each) => each.name === name)!;

  it('is ten spans with the parents of the specification', () => {
    expect(treeOf(spans)).toEqual([
      'nobody > gateway.request',
      'gateway.request > engine.process',
      'engine.process > scheduler.enqueue',
      'scheduler.enqueue > memory.allocate',
      'engine.process > executor.forward',
      'executor.forward > gpu.compute',
      'executor.forward > sampler.sample',
      'engine.process > executor.forward',
      'executor.forward > gpu.compute',
      'executor.forward > sampler.sample',
    ]);
    expect(spans.map((each) => each.kind)).toEqual(['server', ...Array(9).fill('internal')]);
  });

  it("has the example's attributes", () => {
    expect(one('gateway.request').attributes).toMatchObject({
      user_id: '0123456789abcdef',
      model: 'llama-70b',
      prompt_tokens: 512,
      output_tokens: 100,
      status: 'success',
    });
    const { attributes } = one('engine.process');
    expect(attributes).toMatchObject({ total_tokens: 612, status: 'success', request_id: 'req-1' });
    expect(attributes['ttft_ms']).toBe((attributes['gen_ai.latency.time_to_first_token'] as number) * 1e3);
    const [prefill, decode] = spans.filter((each) => each.name === 'executor.forward');
    expect(prefill!.attributes).toMatchObject({
      phase: 'prefill',
      iterations: 1,
      batch_size: 1,
      sequence_lengths_max: 512,
    });
    expect(decode!.attributes).toMatchObject({ phase: 'decode', iterations: 99, sequence_lengths_max: 611 });
  });

  it('has children inside their parents, in one trace, each id once', () => {
    const byId = new Map(spans.map((each) => [each.spanId, each]));
    expect(byId.size).toBe(spans.length);
    for (const span of spans) {
      expect(span.traceId).toBe(CONTEXT.traceId);
      expect(span.spanId).toMatch(/^[0-9a-f]{16}$/);
      expect(span.endNs).toBeGreaterThanOrEqual(span.startNs);
      const parent = byId.get(span.parentSpanId ?? '');
      if (parent === undefined) continue;
      expect(span.startNs).toBeGreaterThanOrEqual(parent.startNs);
      expect(span.endNs).toBeLessThanOrEqual(parent.endNs);
    }
  });

  // A step serves many requests: it is in none of their traces.
  it.each((Object.keys(SPAN_ATTRIBUTES) as SpanName[]).filter((name) => name !== 'engine.step'))(
    '%s has the attributes that were decided on, and its parent',
    (name) => {
      const found = spans.filter((each) => each.name === name);
      expect(found.length).toBeGreaterThan(0);
      for (const span of found) {
        expect(attributeFaults(name, Object.keys(span.attributes))).toEqual([]);
        const parent = spans.find((each) => each.spanId === span.parentSpanId);
        expect(parent?.name ?? null).toBe(SPAN_PARENTS[name]);
      }
      // Everything that can be known of this call is known: nothing in the table is out of reach.
      const all = SPAN_ATTRIBUTES[name].map((each) => each.replace('?', ''));
      const absent = all.filter((each) => found.every((span) => !(each in span.attributes)));
      expect(absent).toEqual(
        name === 'gateway.request' ? ['error.type'] : name === 'sampler.sample' ? ['token_id'] : [],
      );
    },
  );
});

describe('other requests', () => {
  it('have about as many spans however long they are', () => {
    for (const outputTokens of [2, 1000]) {
      const [record] = recordedRun([{ promptTokens: 64, outputTokens }]).records;
      expect(requestSpans(facts(record!), [record!], DEVICE)).toHaveLength(10);
    }
  });

  it('have one process per sequence', () => {
    const { records } = recordedRun([{ promptTokens: 64, outputTokens: 5, n: 3 }]);
    const spans = requestSpans(facts(records[0]!), records, DEVICE);
    const processes = spans.filter((each) => each.name === 'engine.process');
    expect(processes.map((each) => each.attributes['request_id']).sort()).toEqual(['req-1-0', 'req-1-1', 'req-1-2']);
    expect(new Set(spans.map((each) => each.spanId)).size).toBe(spans.length);
  });

  it('end with the span of the gateway alone where they were refused before the engine', () => {
    const [record] = recordedRun([{ promptTokens: 64, outputTokens: 5 }]).records;
    const refused = {
      ...facts(record!),
      outcome: 'client_error' as const,
      errorType: 'invalid_json',
      generation: null,
    };
    const [span, ...more] = requestSpans(refused, [], DEVICE);
    expect(more).toEqual([]);
    expect(span).toMatchObject({ failed: false, attributes: { status: 'client_error', 'error.type': 'invalid_json' } });
  });

  it('keep their place in wall time whatever the pace of the device', () => {
    const [record] = recordedRun([{ promptTokens: 512, outputTokens: 100 }]).records;
    const wall = { ...record!, wallFromNs: 5e9, wallToNs: 5.001e9 };
    const spans = requestSpans({ ...facts(record!), startNs: 4.9e9, endNs: 5.1e9 }, [wall], DEVICE);
    for (const span of spans.slice(1)) {
      expect(span.startNs).toBeGreaterThanOrEqual(5e9);
      expect(span.endNs).toBeLessThanOrEqual(5.001e9);
    }
    const ttft = spans[1]!.attributes['gen_ai.latency.time_to_first_token'];
    expect(ttft).toBe((record!.firstTokenNs - record!.receivedNs) / 1e9);
  });
});

describe('keep rules', () => {
  const rules = { slowTtftMs: 300, sampleRatio: 0 };
  const quiet: TraceVerdict = {
    position: 0.5,
    failed: false,
    ttftMs: 300,
    preemptions: 0,
    parentSampled: null,
  };
  it.each([
    [{}, null],
    [{ failed: true, ttftMs: 900, preemptions: 2 }, 'error'],
    [{ ttftMs: 300.1, preemptions: 2 }, 'slow_ttft'],
    [{ preemptions: 1, parentSampled: false }, 'preempted'],
    [{ parentSampled: true }, 'caller'],
    [{ ttftMs: Number.NaN }, null],
  ] as const)('%j is kept for %s', (trace, reason) => {
    expect(keepReason({ ...quiet, ...trace }, rules)).toBe(reason);
  });

  it('of the rest a share, which a caller that keeps nothing is left out of', () => {
    const all = { ...rules, sampleRatio: 1 };
    expect(keepReason(quiet, all)).toBe('ratio');
    expect(keepReason({ ...quiet, parentSampled: false }, all)).toBe(null);
    let kept = 0;
    for (let i = 0; i < 4000; i++) {
      const hash = Math.imul(i + 1, 0x9e3779b1) >>> 0;
      const low = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> 0;
      const id = `${'f'.repeat(19)}${low.toString(16).padStart(8, '0')}00000`;
      if (inRatio(ratioPosition(id), 0.1)) kept++;
    }
    expect(kept).toBeGreaterThan(320);
    expect(kept).toBeLessThan(480);
    expect(inRatio(ratioPosition('0'.repeat(32)), 0)).toBe(false);
    expect(inRatio(ratioPosition('f'.repeat(32)), 0)).toBe(false);
  });
});

describe('traceparent', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  it.each([
    [`00-${id}-00f067aa0ba902b7-01`, { traceId: id, spanId: '00f067aa0ba902b7', sampled: true }],
    [`00-${id}-00f067aa0ba902b7-00`, { traceId: id, spanId: '00f067aa0ba902b7', sampled: false }],
    [`cc-${id}-00f067aa0ba902b7-03-more`, { traceId: id, spanId: '00f067aa0ba902b7', sampled: true }],
    [`00-${id}-00f067aa0ba902b7-01-more`, null],
    [`ff-${id}-00f067aa0ba902b7-01`, null],
    [`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, null],
    [`00-${id}-0000000000000000-01`, null],
    [`00-${id.toUpperCase()}-00f067aa0ba902b7-01`, null],
    ['garbage', null],
    [undefined, null],
  ])('%s', (header, parsed) => {
    expect(parseTraceparent(header)).toEqual(parsed);
  });

  it('ids below a server span differ and are never zero', () => {
    const ids = new SpanIds('00000000fffffffe');
    const drawn = Array.from({ length: 4 }, () => ids.next());
    expect(drawn).toEqual(['00000000ffffffff', '0000000000000001', '0000000000000002', '0000000000000003']);
  });
});
