import { describe, expect, it } from 'vitest';
import { loadScenario } from '../../src/config/load-scenario.ts';
import { resolveScenario } from '../../src/config/resolve-scenario.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';

describe('deadlines inside runs of steps', () => {
  it('end sequences with the same tokens, blocks and digest as in single steps', async () => {
    const loaded = loadScenario('scenarios/overload.yaml');
    const digests: string[] = [];
    for (const fast_forward of [true, false]) {
      // So few at once that the others wait for a place, not for blocks: only then steps are run together.
      const engine = { fast_forward, max_num_seqs: 64 };
      const spec = resolveScenario(loaded, { engine, workload: { requestsMax: 6000 } });
      const { summary } = await runSimulation({ ...spec, engine: { ...spec.engine, checkIntervalNs: 1e9 } });
      expect(summary.requests.timedOut).toBeGreaterThan(100);
      digests.push(summary.digest);
    }
    expect(digests[0]).toBe(digests[1]);
  });
});
