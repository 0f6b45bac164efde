import { describe, expect, it } from 'vitest';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { atRate, RATE_PRECISION, sustainableRate } from '../../src/runtime/sustainable-rate.ts';
import { SAMPLE, scenario } from './scenarios.ts';

const LOAD = `{kind: generated, arrivals: {process: poisson, requests_per_second: 1},
  content: {kind: shared-prefix, groups: 5, users_per_group: 4, system_prompt_tokens: 100, question_tokens: 400, output_tokens: 200}}`;

const SERVERS = {
  'llama-3.1-8b': { engine: '{profile: vllm-v1, max_num_seqs: 64}', workload: LOAD },
  'mixtral-8x7b': {
    model: '{name: mixtral-8x7b}',
    device: '{name: h100-sxm-80gb, tensor_parallel_size: 2}',
    engine: '{profile: vllm-v1, max_num_seqs: 64}',
    workload: LOAD,
  },
  'llama-2-7b with few blocks': {
    model: '{name: llama-2-7b}',
    engine: '{profile: vllm-v1, num_gpu_blocks: 1200}',
    workload: LOAD.replace('kind: shared-prefix, groups: 5, users_per_group: 4, system_prompt_tokens: 100, ', '')
      .replace('question_tokens', 'kind: independent, prompt_tokens')
      .replace('output_tokens: 200', 'output_tokens: 100'),
  },
} as const;

describe.each(Object.entries(SERVERS))('the sustainable rate of %s', (name, sections) => {
  const spec = scenario(sections);

  it('parts loads whose queue grows from loads whose queue does not', async () => {
    const found = await sustainableRate(spec, runSimulation);
    expect(found.saturatedRequestsPerSecond / found.requestsPerSecond).toBeLessThanOrEqual(RATE_PRECISION);
    for (const trial of found.trials) {
      expect(trial.saturated).toBe(trial.requestsPerSecond > found.requestsPerSecond);
      expect(trial.latencySeconds === null).toBe(trial.saturated);
    }
    const at = async (factor: number) =>
      (await runSimulation(atRate(spec, factor * found.requestsPerSecond, found.trialSeconds))).summary;
    const [above, below] = [await at(1.2), await at(0.8)];
    expect(above.capacity!.saturated).toBe(true);
    expect(above.prediction!.metrics).toBeNull();
    expect(below.capacity!.saturated).toBe(false);
    // The estimate in every result is of the same order: it knows nothing of queues.
    expect(below.capacity!.sustainableRequestsPerSecond! / found.requestsPerSecond).toBeGreaterThan(0.7);
    expect(below.capacity!.sustainableRequestsPerSecond! / found.requestsPerSecond).toBeLessThan(1.4);
    expect(found.binding).toBe(name === 'llama-2-7b with few blocks' ? 'kv-blocks' : 'sequences');
  });
});

describe('the search', () => {
  it('finds the same rate again', async () => {
    const spec = scenario({ ...SERVERS['llama-3.1-8b'], engine: '{profile: vllm-v1, max_num_seqs: 8}' });
    const [first, second] = [await sustainableRate(spec, runSimulation), await sustainableRate(spec, runSimulation)];
    expect({ ...second, wallSeconds: 0 }).toEqual({ ...first, wallSeconds: 0 });
  });

  it('refuses a workload that has rates of its own, and one of which nothing completes', async () => {
    await expect(sustainableRate(scenario({}, { tracePath: SAMPLE }), runSimulation)).rejects.toThrow(
      /a trace workload has rates of its own; allowed: a generated workload/,
    );
    const never = scenario({ engine: '{num_gpu_blocks: 2}' });
    await expect(sustainableRate(never, runSimulation)).rejects.toThrow(/no request of its workload completes/);
  });
});
