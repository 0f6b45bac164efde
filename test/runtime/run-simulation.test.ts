import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ScenarioOverrides } from '../../src/config/resolve-scenario.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import type { RunSpec } from '../../src/runtime/run-spec.ts';
import { bundled, CHAT, ran, SAMPLE, scenario, scratch } from './scenarios.ts';

const DATA = process.env['TWINFER_DATA'];
const folder = scratch();

/** Sections and flags under which a run must be the same however it is driven. */
interface Case {
  readonly sections?: Readonly<Record<string, string>>;
  readonly overrides?: ScenarioOverrides;
}

const RUSH = `{kind: generated, arrivals: {process: poisson, requests_per_second: 40}, content: ${CHAT}}`;
/** A pool that holds a few sequences at most: about 20 prompts of the chat. */
const TIGHT = 'num_gpu_blocks: 400, admission_policy: as-needed, watermark: 0';

const rowsFile = join(folder, 'rows.jsonl');
writeFileSync(
  rowsFile,
  Array.from({ length: 200 }, (_, i) =>
    JSON.stringify({
      arrival_s: i / 20,
      prompt_tokens: 100 + ((i * 37) % 900),
      output_tokens: 10 + ((i * 53) % 200),
      n: 1 + (i % 3),
      priority: i % 4,
      stream: i % 7,
      ...(i % 11 === 0 ? { timeout_s: 0.2 } : {}),
    }),
  ).join('\n'),
);

const CASES: Readonly<Record<string, Case>> = {
  'steady chat': {},
  'the vllm-v1 engine': { sections: { engine: '{profile: vllm-v1}' } },
  'preemption by recomputation': { sections: { workload: RUSH, engine: `{${TIGHT}}` } },
  'preemption by recomputation, vllm-v1': {
    sections: { workload: RUSH, engine: '{profile: vllm-v1, num_gpu_blocks: 400}' },
  },
  'preemption by swapping': {
    sections: { workload: RUSH, engine: `{${TIGHT}, preemption_mode: swap, num_cpu_blocks: 4000}` },
  },
  'device faults': {
    sections: {
      workload: RUSH,
      faults: '[{kind: transient, at: 3s}, {kind: sticky, at: 6s}, {kind: slow, from: 8s, to: 10s, factor: 3}]',
    },
  },
  'a device that is lost': { sections: { faults: '[{kind: device-lost, at: 9s}]' } },
  speculation: { sections: { speculation: '{num_speculative_tokens: 3, acceptance_rates: [0.8, 0.7, 0.6]}' } },
  'a closed loop': {
    sections: {
      workload: `{kind: generated, arrivals: {process: closed-loop, concurrency: 16}, content: ${CHAT}}`,
      limits: '{requests: 300}',
    },
  },
  'deadlines under overload': {
    sections: { workload: RUSH.replace('content', 'timeout: 2s, content'), engine: '{max_num_seqs: 8}' },
  },
  'priorities with aging': {
    sections: {
      workload: RUSH.replace('content', 'priorities: [{share: 3, priority: 0}, {share: 1, priority: 5}], content'),
      engine: '{scheduling_policy: priority, priority_aging: 3s, max_num_seqs: 16, num_gpu_blocks: 600}',
    },
  },
  'n > 1, priorities and deadlines of a trace': {
    sections: { engine: '{scheduling_policy: priority, max_num_seqs: 32}' },
    overrides: { tracePath: rowsFile },
  },
  'n > 1 without forks': { sections: { engine: '{profile: vllm-v1}' }, overrides: { tracePath: rowsFile } },
  'the sample at ten times its rate': {
    overrides: { tracePath: SAMPLE, workload: { rateScale: 10, requestsMax: 600 } },
  },
};

const specOf = ({ sections, overrides }: Case, more: ScenarioOverrides = {}) =>
  scenario(sections, { ...overrides, ...more, engine: { ...overrides?.engine, ...more.engine } });

const digest = async (spec: RunSpec) => (await ran(spec)).summary.digest;

describe.each(Object.entries(CASES))('%s', (_name, each) => {
  it('has one digest: twice, and in single steps', async () => {
    const first = await digest(specOf(each));
    expect(await digest(specOf(each))).toBe(first);
    expect(await digest(specOf(each, { engine: { fast_forward: false } }))).toBe(first);
  });

  it('keeps all laws after every step', async () => {
    const workload = { ...each.overrides?.workload, requestsMax: 40 };
    const few = { ...each, overrides: { ...each.overrides, workload } };
    // A check takes time in proportion to the pool.
    const engine = { num_gpu_blocks: 400 };
    const checked = { ...engine, check_interval: '0s', fast_forward: false };
    expect(await digest(specOf(few, { engine: checked }))).toBe(await digest(specOf(few, { engine })));
  });

  it('has one digest of steps, with and without fast-forward and decision log', async () => {
    const output = { digest: 'steps' } as const;
    const first = await digest(specOf(each, { output }));
    expect(await digest(specOf(each, { output, engine: { fast_forward: false } }))).toBe(first);
    const logged = { ...output, decisionLogFile: join(folder, 'steps.log') };
    expect(await digest(specOf(each, { output: logged }))).toBe(first);
  });

  it('has another digest with another seed, unless a trace decides everything', async () => {
    const decided = each.overrides?.tracePath !== undefined;
    expect((await digest(specOf(each, { seed: 2 }))) === (await digest(specOf(each)))).toBe(decided);
  });
});

describe('what each case is about happens in it', () => {
  const outcome = (name: string) => ran(specOf(CASES[name]!));

  it.each(['preemption by recomputation', 'preemption by recomputation, vllm-v1'])('%s', async (name) => {
    const { run, summary } = await outcome(name);
    expect(summary.preemptions.memoryPressure).toBeGreaterThan(10);
    expect(summary.tokens.recomputedPrompt).toBeGreaterThan(0);
    expect(summary.books.recomputedOutput).toBeGreaterThan(0);
    expect(run.preemptions.swapped).toBe(0);
    expect(summary.requests.completed).toBe(summary.requests.injected);
  });

  it('preemption by swapping: most victims keep what they have computed', async () => {
    const { run, summary } = await outcome('preemption by swapping');
    expect(run.preemptions.swapped).toBeGreaterThan(10);
    const recomputing = await outcome('preemption by recomputation');
    const recomputed = (of: typeof summary) => of.tokens.recomputedPrompt + of.books.recomputedOutput;
    expect(recomputed(summary)).toBeLessThan(recomputed(recomputing.summary) / 2);
    expect(summary.requests.completed).toBe(summary.requests.injected);
  });

  it('device faults: a transient one costs nobody, a sticky one its batch', async () => {
    const { run, summary } = await outcome('device faults');
    expect(run.failedSubmissions).toBe(2);
    expect(summary.requests.failed).toBeGreaterThan(0);
    expect(summary.requests.failed + summary.requests.completed).toBe(summary.requests.injected);
  });

  it('a device that is lost: what runs fails, what comes is refused', async () => {
    const { run, summary } = await outcome('a device that is lost');
    expect(summary.requests.failed).toBeGreaterThan(0);
    expect(run.rejections['device-lost']).toBe(summary.requests.rejected);
    expect(summary.requests.rejected).toBeGreaterThan(50);
  });

  it('speculation: fewer steps for the same tokens', async () => {
    const { run, summary } = await outcome('speculation');
    const plain = await outcome('steady chat');
    expect(summary.tokens.output).toBe(plain.summary.tokens.output);
    expect(summary.steps).toBeLessThan(0.95 * plain.summary.steps);
    expect(run.tokens.acceptedDrafts).toBeGreaterThan(0.5 * run.tokens.proposedDrafts);
    expect(run.tokens.acceptedDrafts).toBeLessThan(run.tokens.proposedDrafts);
  });

  it('a closed loop: never more than its clients', async () => {
    const { run, summary } = await outcome('a closed loop');
    expect(summary.requests).toMatchObject({ injected: 300, completed: 300 });
    expect(run.peaks.running).toBe(16);
    expect(run.peaks.waiting).toBeLessThanOrEqual(16);
  });

  it('deadlines under overload: who waits too long is timed out', async () => {
    const { summary } = await outcome('deadlines under overload');
    expect(summary.requests.timedOut).toBeGreaterThan(500);
    expect(summary.requests.completed).toBeGreaterThan(20);
    expect(summary.latencySeconds.e2e.max).toBeLessThanOrEqual(2);
  });

  it('n > 1: every sequence ends; forks compute a prompt once', async () => {
    const forked = (await outcome('n > 1, priorities and deadlines of a trace')).summary;
    const independent = (await outcome('n > 1 without forks')).summary;
    expect(forked.requests.injected).toBe(200);
    expect(independent.requests.injected).toBe(200);
    expect(forked.requests.timedOut).toBeGreaterThan(0);
    expect(forked.tokens.cachedPrompt).toBeGreaterThan(0.3 * forked.tokens.prompt);
  });

  it('priorities with aging: the urgent ones wait less', async () => {
    const { summary } = await outcome('priorities with aging');
    expect(summary.requests.completed).toBe(summary.requests.injected);
    const fcfs = await ran(specOf(CASES['priorities with aging']!, { engine: { scheduling_policy: 'fcfs' } }));
    expect(summary.latencySeconds.queue.p50!).toBeLessThan(fcfs.summary.latencySeconds.queue.p50!);
  });
});

describe('the bundled sample', () => {
  it('runs to completion on the reference scenario', async () => {
    const { summary, verification, files, badRows } = await ran(bundled('llama-3.1-8b-h100', { tracePath: SAMPLE }));
    expect(summary.requests.injected).toBeGreaterThan(1800);
    expect(summary.requests.completed).toBe(summary.requests.injected);
    expect(summary.kv.prefixHitRatio).toBeGreaterThan(0.3);
    expect({ verification, files, badRows }).toEqual({ verification: null, files: [], badRows: 0 });
  });

  it('tells how far it is, which only grows', async () => {
    const spec = bundled('llama-3.1-8b-h100', { tracePath: SAMPLE, engine: { fast_forward: false } });
    const ratios: number[] = [];
    const ended: number[] = [];
    await runSimulation(spec, {
      progress: (state) => {
        ratios.push(state.traceReadRatio!);
        ended.push(state.requestsEnded);
      },
    });
    for (const series of [ratios, ended]) expect(series).toEqual([...series].sort((a, b) => a - b));
    expect(ratios.every((ratio) => ratio >= 0 && ratio <= 1)).toBe(true);
  });

  it('bad rows are counted when they may be skipped, and end the run when not', async () => {
    const path = join(folder, 'bad.jsonl');
    const row = '{"arrival_s": 0, "prompt_tokens": 5, "output_tokens": 3}';
    writeFileSync(path, [row, 'nonsense', row].join('\n'));
    const spec = (skipBadRows: boolean) => scenario({}, { tracePath: path, workload: { skipBadRows } });
    const { summary, badRows, firstBadRow } = await ran(spec(true));
    expect(summary.requests.completed).toBe(2);
    expect(badRows).toBe(1);
    expect(firstBadRow).toContain('bad.jsonl:2');
    await expect(runSimulation(spec(false))).rejects.toThrow(/bad\.jsonl:2/);
  });
});

const PUBLIC_TRACES = [
  ['Azure conversation', 'azure-2023/AzureLLMInferenceTrace_conv.csv', 19_366],
  ['Azure code', 'azure-2023/AzureLLMInferenceTrace_code.csv', 8819],
  ['Mooncake conversation', 'mooncake-fast25/conversation_trace.jsonl', 12_031],
  ['Mooncake synthetic', 'mooncake-fast25/synthetic_trace.jsonl', 3993],
] as const;

describe.skipIf(DATA === undefined)('public traces (needs TWINFER_DATA)', () => {
  describe.each(PUBLIC_TRACES)('%s', (_name, file, requests) => {
    const trace = (overrides: ScenarioOverrides = {}) =>
      bundled('llama-3.1-8b-h100', { ...overrides, tracePath: join(DATA ?? '', 'traces', file) });

    it('runs to completion with books that balance', async () => {
      const { summary } = await ran(trace());
      expect(summary.requests.injected).toBe(requests);
      expect(summary.requests.completed + summary.requests.rejected).toBe(requests);
      // Prompts beyond the model's 131,072 tokens.
      expect(summary.requests.rejected).toBeLessThanOrEqual(10);
    });

    it('has one digest of steps, with and without fast-forward', async () => {
      const output = { digest: 'steps' } as const;
      const workload = { requestsMax: 3000 };
      const first = await digest(trace({ output, workload }));
      expect(await digest(trace({ output, workload, engine: { fast_forward: false } }))).toBe(first);
    });

    it.each(['vllm-v1', 'twinfer'] as const)('runs at ten times its rate on %s', async (profile) => {
      const { summary } = await ran(trace({ engine: { profile }, workload: { rateScale: 10, requestsMax: 1000 } }));
      expect(summary.requests.completed + summary.requests.rejected).toBe(1000);
    });

    it('reproduces its decision log', async () => {
      const log = join(folder, 'public.log.gz');
      const workload = { requestsMax: 1000 };
      const { summary } = await ran(trace({ workload, output: { decisionLogFile: log } }));
      const { verification } = await ran(trace({ workload, output: { verifyFile: log } }));
      expect(verification).toEqual({ stepsCompared: summary.steps, difference: null });
    });
  });
});
