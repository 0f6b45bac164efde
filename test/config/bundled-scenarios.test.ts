import { describe, expect, it } from 'vitest';
import { bundledScenarios } from '../../src/cli/bundled-scenarios.ts';
import { loadScenario } from '../../src/config/load-scenario.ts';
import { resolveScenario } from '../../src/config/resolve-scenario.ts';
import { openWorkload } from '../../src/runtime/open-workload.ts';

const SCENARIOS = bundledScenarios();
const specOf = (name: string) => resolveScenario(loadScenario(SCENARIOS.find((each) => each.name === name)!.path));

describe('the bundled scenarios', () => {
  it('are the ones that the README lists', () => {
    expect(SCENARIOS.map(({ name }) => name)).toEqual([
      'burst',
      'closed-loop',
      'llama-3.1-70b-8xh100',
      'llama-3.1-8b-h100',
      'overload',
      'priority',
      'shared-prefix',
      'speculative',
      'vllm-v1',
    ]);
  });

  it.each(SCENARIOS)('$name is valid, bears the name of its file and gives requests', async ({ name, path }) => {
    const spec = resolveScenario(loadScenario(path));
    expect(spec.scenario).toBe(name);
    expect(spec.targets.length).toBeGreaterThan(0);
    const workload = openWorkload(spec);
    const batch = await workload.next();
    workload.close();
    expect(batch!.length).toBeGreaterThan(0);
    for (const request of batch!) {
      expect(request.prompt.length + request.outputTokensMax).toBeLessThanOrEqual(spec.engine.modelLenMax);
    }
  });

  it('llama-3.1-8b-h100 is one H100 with 256 sequences and 2,048 tokens a step', () => {
    const { engine, device, tensorParallel, model, engineProfile } = specOf('llama-3.1-8b-h100');
    expect(model.name).toBe('llama-3.1-8b');
    expect(device.name).toBe('H100-SXM-80GB');
    expect(tensorParallel).toBe(1);
    expect(engineProfile).toBe('twinfer');
    expect([engine.sequencesMax, engine.tokensPerStepMax, engine.blockSize]).toEqual([256, 2048, 16]);
    // 80 GiB at 0.9 less 15 GiB of weights, 2 MiB a block: a pool between 20 and 32 thousand blocks.
    expect(engine.blocksTotal).toBeGreaterThan(20_000);
    expect(engine.blocksTotal).toBeLessThan(32_000);
  });

  it('llama-3.1-70b-8xh100 divides the model over eight', () => {
    const { tensorParallel, model, memory } = specOf('llama-3.1-70b-8xh100');
    expect(tensorParallel).toBe(8);
    expect(memory.weightBytes).toBeLessThan(model.weightBytes / 7);
  });

  it('priority draws both classes, three to one', async () => {
    const workload = openWorkload(specOf('priority'));
    const counts = new Map<number, number>();
    for (let batch = await workload.next(); batch !== null; batch = await workload.next()) {
      for (const { priority } of batch) counts.set(priority, (counts.get(priority) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([0, 10]);
    const share = counts.get(0)! / (counts.get(0)! + counts.get(10)!);
    // About 3,600 draws: the standard error of the share is 0.7 %.
    expect(share).toBeGreaterThan(0.72);
    expect(share).toBeLessThan(0.78);
  });

  it('shared-prefix is the load of the published measurements', () => {
    const { workload } = specOf('shared-prefix');
    expect(workload).toMatchObject({
      kind: 'generated',
      spec: {
        arrivals: { kind: 'stages' },
        prompts: { kind: 'shared-prefix', groups: 11, usersPerGroup: 4, history: 'repeat' },
      },
    });
  });
});
