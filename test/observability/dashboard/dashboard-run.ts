import type { MetricsHistory } from '../../../src/observability/index.ts';
import { MetricsObserver } from '../../../src/runtime/metrics-observer.ts';
import { runSimulation } from '../../../src/runtime/run-simulation.ts';
import { scenario } from '../../runtime/scenarios.ts';

/** Two minutes of chat in which every panel has something to show: prefix hits, speculation, a queue. */
export async function dashboardRun(intervalSeconds = 1): Promise<MetricsHistory> {
  const spec = scenario({
    engine: '{profile: twinfer, max_num_seqs: 24}',
    speculation: '{num_speculative_tokens: 3, acceptance_rates: [0.9, 0.8, 0.7]}',
    workload: `{kind: generated, arrivals: {process: poisson, requests_per_second: 9}, content: {kind: shared-prefix,
      groups: 7, users_per_group: 4, system_prompt_tokens: 100, question_tokens: 466, output_tokens: 247}}`,
    limits: '{duration: 2min}',
  });
  const observer = new MetricsObserver({ intervalSeconds, labels: { model: spec.model.name, version: '0.1.0' } });
  await runSimulation(spec, { observers: [observer] });
  return observer.history;
}
