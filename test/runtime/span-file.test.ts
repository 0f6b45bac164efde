import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inRatio, ratioPosition } from '../../src/observability/spans/index.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { SpanFile } from '../../src/runtime/tracing/span-file.ts';
import { capturedCli } from '../cli/captured-cli.ts';
import { attributeFaults, SPAN_PARENTS } from '../observability/spans/attribute-table.ts';
import { type ReceivedSpan, readOtlpJson } from '../support/otlp-sink.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-spans-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a command line with the real simulation. */
function twinfer(...argv: string[]) {
  return capturedCli(argv, runSimulation);
}

function spansIn(file: string): ReceivedSpan[] {
  const bytes = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  return text.split('\n').flatMap((line) => (line === '' ? [] : readOtlpJson(line)));
}

function traces(spans: readonly ReceivedSpan[]): Map<string, ReceivedSpan[]> {
  const found = new Map<string, ReceivedSpan[]>();
  for (const span of spans) found.set(span.traceId, [...(found.get(span.traceId) ?? []), span]);
  return found;
}

function expectTree(spans: readonly ReceivedSpan[]): void {
  const byId = new Map(spans.map((each) => [each.spanId, each]));
  expect(byId.size).toBe(spans.length);
  for (const span of spans) {
    expect(attributeFaults(span.name, Object.keys(span.attributes))).toEqual([]);
    const parent = byId.get(span.parentSpanId ?? '');
    expect(parent?.name ?? null).toBe(SPAN_PARENTS[span.name as keyof typeof SPAN_PARENTS]);
    if (parent === undefined) continue;
    expect(span.startNs).toBeGreaterThanOrEqual(parent.startNs);
    expect(span.endNs).toBeLessThanOrEqual(parent.endNs);
  }
}

describe('the spans of a simulated run', () => {
  it("are the specification's example for a request of 512 and 100 tokens, at the time it names", async () => {
    const trace = join(folder, 'example.csv');
    const file = join(folder, 'example.jsonl');
    writeFileSync(trace, 'TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-15 10:00:00.0000000,512,100\n');
    const run = await twinfer(
      ...['replay', trace, '--scenario', 'llama-3.1-8b-h100', '--spans', file, '--span-ratio', '1'],
    );
    expect(run.stderr).toContain('traces kept: 1 of 1 (ratio 1)');
    const spans = spansIn(file);
    expectTree(spans);
    expect(spans.map((each) => each.name)).toEqual([
      'gateway.request',
      'engine.process',
      'scheduler.enqueue',
      'memory.allocate',
      'executor.forward',
      'gpu.compute',
      'sampler.sample',
      'executor.forward',
      'gpu.compute',
      'sampler.sample',
    ]);
    const [root, engine] = spans;
    expect(root!.attributes).toMatchObject({ prompt_tokens: 512, output_tokens: 100, status: 'success' });
    expect(engine!.attributes).toMatchObject({ total_tokens: 612 });
    expect(root!.resource).toMatchObject({ 'twinfer.backend': 'simulated' });
    // 2024-01-15T10:00:00Z, within the second.
    expect(root!.startNs / 1_000_000_000n).toBe(1_705_312_800n);
  });

  it('are the same for the same seed, and others for another one', async () => {
    const run = async (seed: number, name: string) => {
      const file = join(folder, name);
      const { code } = await twinfer(
        ...['simulate', 'llama-3.1-8b-h100', '--limit', '300', '--seed', String(seed)],
        ...['--spans', file, '--quiet', '--span-epoch', '1000'],
      );
      expect(code).toBe(0);
      return spansIn(file);
    };
    const [first, again, other] = [await run(1, 'a.jsonl'), await run(1, 'b.jsonl.gz'), await run(2, 'c.jsonl')];
    expect(again).toEqual(first);
    expect(first.length).toBeGreaterThan(0);
    expect(first[0]!.startNs).toBeLessThan(10_000_000_000_000n);
    const ids = new Set(first.map((each) => each.traceId));
    expect(other.some((each) => ids.has(each.traceId))).toBe(false);
  });

  it('change nothing in the run', async () => {
    const digest = /digest \w+/;
    const plain = await twinfer('simulate', 'llama-3.1-8b-h100', '--limit', '200');
    const spanned = await twinfer(
      ...['simulate', 'llama-3.1-8b-h100', '--limit', '200', '--spans', join(folder, 'd.jsonl')],
    );
    expect(digest.exec(spanned.stdout)?.[0]).toBe(digest.exec(plain.stdout)![0]);
  });

  it('of 10,000 requests are whole traces, each span once, and of an overload the slow ones are all there', async () => {
    const file = join(folder, 'many.jsonl');
    const { spec } = await capturedCli(['simulate', 'llama-3.1-8b-h100', '--limit', '10000', '--rate-scale', '3']);
    const observer = new SpanFile({ path: file, spec: spec!, sampleRatio: 0.05, epochSeconds: 0 });
    await runSimulation(spec!, { observers: [observer] });
    const found = traces(spansIn(file));
    for (const spans of found.values()) expectTree(spans);
    const slow = [...found.values()].filter((spans) => {
      const engine = spans.find((each) => each.name === 'engine.process');
      return Number(engine?.attributes['ttft_ms']) > 300;
    });
    expect(observer.summary).toMatch(/of 10000 /);
    expect(observer.summary).toContain(`slow_ttft ${slow.length}`);
    expect(found.size).toBeGreaterThan(slow.length + 300);
    // The rest by the ids that stand in the file, as any other service would choose.
    const rest = [...found].filter(([, spans]) => !slow.includes(spans));
    for (const [id] of rest) expect(inRatio(ratioPosition(id), 0.05)).toBe(true);
  });

  it('are not there when the run was not', async () => {
    const before = readdirSync(folder).length;
    const run = await twinfer('simulate', 'llama-3.1-8b-h100', '--span-ratio', '1');
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--span-ratio: is allowed with --spans FILE only');
    const bad = await twinfer('simulate', 'llama-3.1-8b-h100', '--spans', join(folder, 'e'), '--span-ratio', '2');
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('a number in [0, 1]');
    const missing = await twinfer('simulate', 'llama-3.1-8b-h100', '--spans', join(folder, 'none', 'e.jsonl'));
    expect(missing.code).toBe(2);
    expect(readdirSync(folder).length).toBe(before);
  });
});
