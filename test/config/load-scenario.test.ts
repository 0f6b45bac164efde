import { describe, expect, it } from 'vitest';
import { loadScenario, parseScenario } from '../../src/config/load-scenario.ts';
import { ScenarioError } from '../../src/config/scenario-error.ts';
import { scenarioText } from './scenario-text.ts';

function messageOf(text: string): string {
  try {
    parseScenario(text, 'x.yaml');
  } catch (error) {
    if (error instanceof ScenarioError) return error.message;
    throw error;
  }
  return '';
}

describe('a scenario file', () => {
  it('is taken when it follows the schema, with defaults filled in', () => {
    const { scenario, directory } = parseScenario(scenarioText(), 'some/where/x.yaml');
    expect(scenario.device.tensor_parallel_size).toBe(1);
    expect(scenario.device.gpu_memory_utilization).toBe(0.9);
    expect(scenario.engine.profile).toBe('twinfer');
    expect(scenario.seed).toBe(1);
    expect(directory).toBe('some/where');
  });

  it.each<[string, string, string]>([
    [
      'an unknown key',
      scenarioText('sed: 1'),
      'x.yaml:9:1: sed: unknown key; allowed: $schema, name, description, seed',
    ],
    [
      'an unknown key of a section',
      scenarioText('engine: {max_seqs: 1}'),
      'x.yaml:9:10: engine.max_seqs: unknown key; allowed: profile, block_size',
    ],
    [
      'an unknown key deep inside',
      scenarioText('', ['duration: 10s', 'duration: 10s, rps: 3']),
      'x.yaml:7:80: workload.arrivals.stages[0].rps: unknown key; allowed: requests_per_second, duration',
    ],
    [
      'text for a number',
      scenarioText('engine: {max_num_seqs: "many"}'),
      'x.yaml:9:24: engine.max_num_seqs: "many" is not allowed; allowed: an integer in [1, 65536]',
    ],
    [
      'a negative number',
      scenarioText('engine: {max_num_batched_tokens: -5}'),
      'x.yaml:9:34: engine.max_num_batched_tokens: -5 is not allowed; allowed: an integer in [1, 16777216]',
    ],
    [
      'a fraction for a count',
      scenarioText('engine:\n  block_size: 1.5'),
      'x.yaml:10:15: engine.block_size: 1.5 is not allowed; allowed: an integer in [1, 4096]',
    ],
    [
      'not a number',
      scenarioText('engine: {watermark: .nan}'),
      'x.yaml:9:21: engine.watermark: null is not allowed; allowed: a number in [0, 1)',
    ],
    [
      'a word that is none of the choices',
      scenarioText('engine: {profile: vllm}'),
      'x.yaml:9:19: engine.profile: "vllm" is not allowed; allowed: twinfer, vllm-v1',
    ],
    [
      'a variant that does not exist',
      scenarioText('', ['process: stages', 'process: weibull']),
      'x.yaml:7:23: workload.arrivals.process: "weibull" is not allowed; allowed: constant, poisson, gamma',
    ],
    [
      'a duration without unit',
      scenarioText('limits: {duration: 10}'),
      'x.yaml:9:20: limits.duration: 10 is not allowed; allowed: a number with a unit: ns, us, ms',
    ],
    [
      'a duration beyond what nanoseconds count exactly',
      scenarioText('limits: {duration: 200d}'),
      'x.yaml:9:20: limits.duration: "200d" is not allowed; allowed: a number with a unit',
    ],
    [
      'a missing field',
      scenarioText('', ['requests_per_second: 4, ', '']),
      'x.yaml:7:40: workload.arrivals.stages[0].requests_per_second: is missing; allowed: a number in (0, 1000000]',
    ],
    [
      'a length that is neither number nor distribution',
      scenarioText('', ['prompt_tokens: 100', 'prompt_tokens: long']),
      'x.yaml:8:47: workload.content.prompt_tokens: "long" is not allowed; allowed: an integer in [1, 16777215], or a mapping with distribution: fixed',
    ],
    [
      'a wrong field of a distribution',
      scenarioText('', ['output_tokens: 20', 'output_tokens: {distribution: fixed, tokens: 0}']),
      'x.yaml:8:97: workload.content.output_tokens.tokens: 0 is not allowed; allowed: an integer in [1, 16777215]',
    ],
    [
      'a target without bound',
      scenarioText('targets: [{metric: prefix_hit_ratio}]'),
      'x.yaml:9:11: targets[0]: {"metric":"prefix_hit_ratio"} is not allowed; a target needs above, below or both',
    ],
    [
      'a model without name and configuration',
      scenarioText('', ['{name: llama-3.1-8b}', '{weights: fp8}']),
      'x.yaml:3:8: model: {"weights":"fp8"} is not allowed; a model needs name, config_file or config',
    ],
    [
      'an empty section',
      scenarioText('engine:'),
      'x.yaml:9:8: engine: null is not allowed; allowed: a mapping with the keys',
    ],
    ['an empty file', '', 'x.yaml:1:1: null is not allowed; allowed: a mapping with the keys'],
    ['a list', '[]', 'x.yaml:1:1: [] is not allowed; allowed: a mapping with the keys'],
    ['YAML that does not close', 'name: [', 'x.yaml:1:8: not YAML: '],
    ['a key that stands twice', scenarioText('seed: 1\nseed: 2'), 'x.yaml:10:1: not YAML: Map keys must be unique'],
  ])('with %s fails and says where', (_what, text, message) => {
    expect(messageOf(text)).toContain(message);
    expect(messageOf(text).split('\n')).toHaveLength(1);
  });

  it('names every problem, in the order of the lines, one line each', () => {
    const text = scenarioText('engine: {foo: 1, max_num_seqs: 0}\nseed: -1', ['small', 'Small Name']);
    expect(messageOf(text).split('\n')).toEqual([
      'x.yaml:1:7: name: "Small Name" is not allowed; allowed: lower-case letters, digits, dots and dashes',
      expect.stringContaining('x.yaml:9:10: engine.foo: unknown key'),
      'x.yaml:9:32: engine.max_num_seqs: 0 is not allowed; allowed: an integer in [1, 65536]',
      'x.yaml:10:7: seed: -1 is not allowed; allowed: an integer in [0, 4294967295]',
    ]);
  });

  it('that does not exist is named', () => {
    expect(() => loadScenario('no/such.yaml')).toThrow(
      'no/such.yaml: no such file; allowed: path of a scenario (YAML)',
    );
    expect(() => loadScenario('src')).toThrow('src: is a directory; allowed: path of a scenario (YAML)');
  });

  it('whose aliases explode is refused', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [name, of] of [
      ['b', 'a'],
      ['c', 'b'],
      ['d', 'c'],
      ['e', 'd'],
      ['f', 'e'],
    ] as const) {
      bomb.push(`${name}: &${name} [${Array.from({ length: 10 }, () => `*${of}`).join(', ')}]`);
    }
    expect(messageOf(bomb.join('\n'))).toContain('x.yaml:1:1: not YAML: Excessive alias count');
  });
});
