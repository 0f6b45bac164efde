import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENGINE_DURATIONS, ENGINE_KNOBS, engineSchema } from '../../src/config/engine-schema.ts';
import { loadScenario, parseScenario } from '../../src/config/load-scenario.ts';
import { resolveScenario, type ScenarioOverrides } from '../../src/config/resolve-scenario.ts';
import { ENGINE_PROFILES, type EngineConfig } from '../../src/core/index.ts';
import { scenarioText } from './scenario-text.ts';

const resolved = (text: string, overrides?: ScenarioOverrides) =>
  resolveScenario(parseScenario(text, 'x.yaml'), overrides);

/** For each setting of a scenario: another value than in both profiles, and what the engine must get of it. */
const KNOBS: Readonly<Record<string, readonly [yaml: string, field: keyof EngineConfig, value: unknown]>> = {
  block_size: ['32', 'blockSize', 32],
  num_gpu_blocks: ['1234', 'blocksTotal', 1234],
  num_cpu_blocks: ['77', 'hostBlocksTotal', 77],
  max_num_seqs: ['99', 'sequencesMax', 99],
  max_num_batched_tokens: ['4096', 'tokensPerStepMax', 4096],
  max_model_len: ['9000', 'modelLenMax', 9000],
  max_num_waiting: ['12', 'waitingMax', 12],
  enable_chunked_prefill: ['false', 'chunkedPrefill', false],
  long_prefill_token_threshold: ['512', 'prefillChunkTokensMax', 512],
  steps_in_flight: ['2', 'stepsInFlight', 2],
  scheduling_policy: ['priority', 'order', 'priority'],
  priority_aging: ['3s', 'agingNs', 3e9],
  admission_policy: ['guaranteed-no-evict', 'capacity', 'guaranteed-no-evict'],
  watermark: ['0.05', 'watermarkRatio', 0.05],
  victim_policy: ['tail', 'victim', 'tail'],
  preemption_mode: ['swap, num_cpu_blocks: 9', 'preemption', 'swap'],
  max_preemptions: ['7', 'preemptionsMax', 7],
  max_bypass: ['3', 'bypassMax', 3],
  max_bypassed: ['5', 'bypassedMax', 5],
  admission_retry_steps: ['11', 'admissionRetrySteps', 11],
  siblings: ['independent', 'siblings', 'independent'],
  enable_prefix_caching: ['false', 'prefixCaching', false],
  partial_prefix_hits: ['false', 'partialPrefixHits', false],
  pending_prefix_hits: ['false', 'pendingPrefixHits', false],
  unpublish_unplanned: ['false', 'unpublishUnplanned', false],
  reuse_empty_first: ['false', 'reuseEmptyFirst', false],
  fenced_frees: ['false', 'fencedFrees', false],
  eos_token_ids: ['[2, 128009]', 'eosTokenIds', [2, 128009]],
  max_step_failures: ['8', 'failuresMax', 8],
  fast_forward: ['false', 'fastForward', false],
  check_interval: ['0s', 'checkIntervalNs', 0],
};

describe('engine settings', () => {
  it.each(Object.entries(KNOBS))('%s reaches the engine', (name, [yaml, field, value]) => {
    const { engine } = resolved(scenarioText(`engine: {${name}: ${yaml}}`));
    expect(engine[field]).toEqual(value);
    expect(resolved(scenarioText()).engine[field]).not.toEqual(value);
  });

  it('cover every field of EngineConfig and every key of the schema', () => {
    const reached = new Set<string>(Object.values(KNOBS).map(([, field]) => field));
    // speculation has a section of its own.
    expect(Object.keys(ENGINE_PROFILES.twinfer).filter((field) => !reached.has(field))).toEqual(['speculation']);
    const keys = Object.keys(engineSchema.shape).filter((key) => key !== 'profile' && key !== 'swap_space');
    expect(Object.keys(KNOBS).sort()).toEqual(keys.sort());
    const mapped = { ...ENGINE_KNOBS, ...ENGINE_DURATIONS, num_gpu_blocks: '', num_cpu_blocks: '' };
    expect(Object.keys(mapped).sort()).toEqual(keys.sort());
  });

  it('start from the profile', () => {
    const { engine, engineProfile } = resolved(scenarioText('engine: {profile: vllm-v1, max_num_seqs: 7}'));
    expect(engineProfile).toBe('vllm-v1');
    const { blocksTotal, modelLenMax, ...others } = engine;
    const { blocksTotal: _, modelLenMax: __, ...profile } = ENGINE_PROFILES['vllm-v1'];
    expect(others).toEqual({ ...profile, sequencesMax: 7 });
    expect(modelLenMax).toBe(131_072);
    expect(blocksTotal).toBeGreaterThan(1000);
  });

  it('leave blocks to the memory model, which follows the settings that it depends on', () => {
    const blocks = (extra: string) => resolved(scenarioText(extra)).engine.blocksTotal;
    const usual = blocks('');
    expect(blocks('engine: {block_size: 32}')).toBeCloseTo(usual / 2, -1);
    expect(blocks('engine: {max_num_seqs: 1024}')).toBeLessThan(usual);
    const text = scenarioText('', ['h100-sxm-80gb}', 'h100-sxm-80gb, gpu_memory_utilization: 0.5}']);
    expect(resolved(text).engine.blocksTotal).toBeLessThan(usual / 2);
  });

  it('turn swap space into host blocks of the model', () => {
    // Llama-3.1-8B: 128 KiB of KV a token, 2 MiB a block of 16.
    const { engine } = resolved(scenarioText('engine: {swap_space: 4GiB, preemption_mode: swap}'));
    expect(engine.hostBlocksTotal).toBe(2048);
  });

  it('that contradict each other are placed', () => {
    expect(() => resolved(scenarioText('engine:\n  preemption_mode: swap'))).toThrow(
      'x.yaml:10:3: engine.num_cpu_blocks: 0 is not allowed; at least 1 with preemption "swap"',
    );
    expect(() => resolved(scenarioText('engine:\n  max_model_len: 200000'))).toThrow(
      'x.yaml:10:18: engine.max_model_len: 200000 is not allowed; allowed: at most 131072, which llama-3.1-8b was made for',
    );
    const speculation = 'speculation: {num_speculative_tokens: 2, acceptance_rates: [0.5], enable_below_running: 200}';
    expect(() => resolved(scenarioText(speculation))).toThrow(
      'x.yaml:9:89: speculation.enable_below_running: 200 is not allowed; at most disable_above_running (128)',
    );
  });
});

describe('speculation', () => {
  it('gives the core its limits and the simulated device its acceptance', () => {
    const { engine, acceptanceRates } = resolved(
      scenarioText('speculation: {num_speculative_tokens: 3, acceptance_rates: [0.9, 0.5], retry_steps: 9}'),
    );
    expect(acceptanceRates).toEqual([0.9, 0.5]);
    expect(engine.speculation).toMatchObject({
      draftTokensMax: 3,
      runningOffMin: 128,
      runningOnMax: 96,
      retrySteps: 9,
    });
  });

  it('is off without its section', () => {
    const spec = resolved(scenarioText());
    expect([spec.engine.speculation, spec.acceptanceRates]).toEqual([null, null]);
  });
});

describe('model and device', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinfer-scenario-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('unknown names are placed, with the known ones', () => {
    expect(() => resolved(scenarioText('', ['llama-3.1-8b', 'llama-9-8b']))).toThrow(
      /^x.yaml:3:15: model.name: model "llama-9-8b": name: unknown; did you mean .*Known: .*llama-3.1-8b/,
    );
    expect(() => resolved(scenarioText('', ['h100-sxm-80gb', 'h900']))).toThrow(
      /^x.yaml:4:16: device.name: device "h900": unknown; known: H100-SXM-80GB/,
    );
  });

  it('a model that does not fit is placed, with the sizes', () => {
    expect(() => resolved(scenarioText('', ['llama-3.1-8b', 'llama-3.1-70b']))).toThrow(
      /^x.yaml:4:9: device: llama-3.1-70b does not fit on 1 x H100-SXM-80GB: per GPU, weights 13\d\.\d\d GiB/,
    );
    const three = scenarioText('', ['h100-sxm-80gb}', 'h100-sxm-80gb, tensor_parallel_size: 3}']);
    expect(() => resolved(three)).toThrow(
      'x.yaml:4:53: device.tensor_parallel_size: model llama-3.1-8b: 3 does not divide num_attention_heads (32)',
    );
    const sixteen = scenarioText('', ['h100-sxm-80gb}', 'h100-sxm-80gb, tensor_parallel_size: 16}']);
    expect(() => resolved(sixteen)).toThrow(
      'x.yaml:4:53: device.tensor_parallel_size: 16 is not allowed; H100-SXM-80GB has 8 GPUs a server',
    );
  });

  it('a config.json beside the scenario is a model', () => {
    const config = {
      model_type: 'llama',
      num_hidden_layers: 2,
      hidden_size: 256,
      intermediate_size: 512,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      vocab_size: 1000,
      max_position_embeddings: 4096,
    };
    writeFileSync(join(folder, 'tiny.json'), JSON.stringify(config));
    const write = (model: string): string => {
      const path = join(folder, 'x.yaml');
      writeFileSync(path, scenarioText('', ['{name: llama-3.1-8b}', model]));
      return path;
    };
    const spec = resolveScenario(loadScenario(write('{config_file: tiny.json, name: tiny}')));
    expect([spec.model.name, spec.model.layers, spec.engine.modelLenMax]).toEqual(['tiny', 2, 4096]);
    const inline = resolveScenario(loadScenario(write(`{config: ${JSON.stringify(config)}, kv_cache: fp8}`)));
    expect(inline.model.kvBytesPerToken).toBe(spec.model.kvBytesPerToken / 2);
    expect(() => resolveScenario(loadScenario(write('{config_file: none.json}')))).toThrow(
      /x.yaml:3:22: model.config_file: .*none.json cannot be read; allowed: path of a config.json, relative to the scenario/,
    );
    writeFileSync(join(folder, 'bad.json'), '[1');
    expect(() => resolveScenario(loadScenario(write('{config_file: bad.json}')))).toThrow(
      /x.yaml:3:22: model.config_file: .*bad.json is no JSON object/,
    );
  });
});

describe('workloads', () => {
  const trace = (extra = '') =>
    scenarioText('', [
      '  kind: generated\n  arrivals: {process: stages, stages: [{requests_per_second: 4, duration: 10s}]}\n  content: {kind: independent, prompt_tokens: 100, output_tokens: 20}',
      `  kind: trace\n  path: a.csv\n  rate_scale: 2\n  start: 1min\n${extra}`,
    ]);

  it('a trace is looked for beside the scenario, with its options', () => {
    const { workload } = resolveScenario(parseScenario(trace('  end: 2min'), 'some/x.yaml'));
    expect(workload).toMatchObject({
      kind: 'trace',
      path: join('some', 'a.csv'),
      options: { rateScale: 2, timeScale: 1, window: { startS: 60, endS: 120 }, skipBad: false },
    });
  });

  it('a limit of time counts simulated time, so scaled traces give more of themselves', () => {
    const { workload } = resolved(`${trace()}limits: {duration: 10s}`);
    expect(workload).toMatchObject({ options: { window: { startS: 60, endS: 80 } } });
  });

  it('an end before the start is placed', () => {
    expect(() => resolved(trace('  end: 30s'))).toThrow(
      'x.yaml:10:8: workload.end: 30s is not allowed; allowed: later than start (1min)',
    );
  });

  it('another trace takes the flags, but neither path, cuts nor limits of the scenario', () => {
    const { workload } = resolved(`${trace()}limits: {requests: 5}`, {
      tracePath: 'b.csv',
      workload: { rateScale: 3 },
    });
    expect(workload).toMatchObject({
      path: 'b.csv',
      options: { rateScale: 3, window: { startS: 0, endS: Number.POSITIVE_INFINITY }, limit: Number.POSITIVE_INFINITY },
    });
  });

  it('flags scale the rates of generated ones', () => {
    const { workload } = resolved(scenarioText(), { workload: { rateScale: 3, timeScale: 2 } });
    expect(workload).toMatchObject({ spec: { arrivals: { stages: [{ ratePerS: 6, durationS: 10 }] } } });
  });

  it('that never end are refused', () => {
    const endless = [
      '{process: stages, stages: [{requests_per_second: 4, duration: 10s}]}',
      '{process: poisson, requests_per_second: 4}',
    ] as const;
    expect(() => resolved(scenarioText('', endless))).toThrow(
      'limits: is missing; allowed: requests or duration, since poisson arrivals never end',
    );
    expect(resolved(scenarioText('limits: {requests: 3}', endless)).workload).toMatchObject({ spec: { requests: 3 } });
    expect(resolved(scenarioText('', endless), { workload: { requestsMax: 3 } }).workload).toMatchObject({
      spec: { requests: 3 },
    });
  });

  it('a mixed workload has its streams in their times, and each is checked', () => {
    const one = 'content: {kind: independent, prompt_tokens: 100, output_tokens: 10}';
    const chat = `{name: chat, arrivals: {process: poisson, requests_per_second: 4}, ${one}}`;
    const mixed = (burst: string, limits = '{duration: 1h}') =>
      resolved(
        `name: x\ndescription: d\nmodel: {name: llama-3.1-8b}\ndevice: {name: h100-sxm-80gb}\nlimits: ${limits}\n` +
          `workload: {kind: mixed, streams: [${chat}, {name: burst, ${one}, ${burst}}]}`,
        { workload: { rateScale: 2 } },
      ).workload;
    const rate = 'arrivals: {process: poisson, requests_per_second: 50}';
    expect(mixed(`${rate}, from: 10min, to: 11min, priority: 5`)).toMatchObject({
      kind: 'mixed',
      streams: [
        { name: 'chat', fromNs: 0, spec: { durationS: 3600, priority: 0, arrivals: { ratePerS: 8 } } },
        { name: 'burst', fromNs: 600e9, spec: { durationS: 60, priority: 5, arrivals: { ratePerS: 100 } } },
      ],
    });
    expect(() => mixed(`${rate}, from: 10min, to: 9min`)).toThrow('streams[1].to: 9min is not allowed; allowed: later');
    expect(() => mixed(`${rate}, from: 2h`)).toThrow('streams[1].from: 2h is not allowed; allowed: before limits');
    expect(() => mixed(rate, '{}')).toThrow('streams[0]: has no end; allowed: to, or limits');
    expect(() => mixed('arrivals: {process: closed-loop, concurrency: 3}')).toThrow('streams[1].arrivals: closed-loop');
  });

  it('lengths come from distributions and files', () => {
    const lengths = (yaml: string) => {
      const { workload } = resolved(scenarioText('', ['prompt_tokens: 100', `prompt_tokens: ${yaml}`]));
      return (
        workload.kind === 'generated' &&
        workload.spec.prompts.kind === 'independent' &&
        workload.spec.prompts.promptTokens
      );
    };
    expect(lengths('{distribution: lognormal, p50: 10, p99: 90, max: 50}')).toEqual({
      kind: 'lognormal',
      p50: 10,
      p99: 90,
      tokensMin: 1,
      tokensMax: 50,
    });
    expect(lengths('{distribution: lognormal, mu: 2, sigma: 1}')).toMatchObject({ mu: 2, sigma: 1 });
    expect(() => lengths('{distribution: lognormal, mu: 2, p50: 10}')).toThrow('allowed: p50 and p99, or mu and sigma');
    expect(() => lengths('{distribution: uniform, min: 9, max: 3}')).toThrow(
      /prompt_tokens.max: 3 is not allowed; allowed: at least min \(9\)/,
    );
    expect(() => lengths('{distribution: empirical, file: no.csv}')).toThrow(
      /no.csv cannot be read; allowed: path of a CSV/,
    );
  });
});

describe('targets and faults', () => {
  it('bounds are in seconds', () => {
    const { targets } = resolved(
      scenarioText(
        'targets: [{metric: ttft, statistic: p99, below: 200ms}, {metric: kv_utilization_mean, above: 0.7, below: 0.9}]',
      ),
    );
    expect(targets).toEqual([
      { metric: 'ttft', statistic: 'p99', above: null, below: 0.2 },
      { metric: 'kv_utilization_mean', statistic: null, above: 0.7, below: 0.9 },
    ]);
  });

  it('times of faults are in nanoseconds', () => {
    const { faults } = resolved(
      scenarioText(
        'faults: [{kind: transient, at: 2s}, {kind: slow, from: 1s, to: 2s, factor: 3}, {kind: unhealthy, from: 0s, to: 1s}]',
      ),
    );
    expect(faults).toEqual([
      { kind: 'transient', atNs: 2e9, message: 'injected fault: transient' },
      { kind: 'slow', fromNs: 1e9, toNs: 2e9, factor: 3 },
      { kind: 'unhealthy', fromNs: 0, toNs: 1e9, gpu: null },
    ]);
  });

  it('a window that ends before it begins is placed', () => {
    expect(() =>
      resolved(scenarioText('faults: [{kind: transient, at: 2s}, {kind: slow, from: 3s, to: 2s, factor: 3}]')),
    ).toThrow('x.yaml:9:64: faults[1].to: 2s is not allowed; allowed: later than from (3s)');
  });
});

describe('a run specification', () => {
  it('is frozen to its leaves and the same for the same input', () => {
    const spec = resolved(scenarioText('faults: [{kind: transient, at: 2s}]'), { seed: 5 });
    expect(spec.seed).toBe(5);
    expect(Object.isFrozen(spec)).toBe(true);
    expect(Object.isFrozen(spec.engine)).toBe(true);
    expect(Object.isFrozen(spec.faults[0])).toBe(true);
    expect(resolved(scenarioText('faults: [{kind: transient, at: 2s}]'), { seed: 5 })).toEqual(spec);
  });
});
