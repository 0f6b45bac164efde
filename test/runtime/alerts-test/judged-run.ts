import { loadScenario } from '../../../src/config/load-scenario.ts';
import { resolveScenario } from '../../../src/config/resolve-scenario.ts';
import { testAlerts } from '../../../src/runtime/alerts-test/alerts-test.ts';
import { WorldRecord } from '../../../src/runtime/alerts-test/world-record.ts';
import { MetricsObserver } from '../../../src/runtime/metrics-observer.ts';
import { runSimulation } from '../../../src/runtime/run-simulation.ts';
import type { RunSpec } from '../../../src/runtime/run-spec.ts';

export function specOf(path: string): RunSpec {
  return resolveScenario(loadScenario(path));
}

/** What `twinfer alerts test` does with a scenario. */
export async function judgedRun(spec: RunSpec, prometheus = false) {
  const observer = MetricsObserver.of(spec);
  const record = new WorldRecord(observer.history.intervalSeconds);
  const outcome = await runSimulation(spec, { observers: [observer, record] });
  const { history } = observer;
  const input = { name: spec.scenario, history, world: { record, spec } };
  const result = await testAlerts(input, { prometheus, progress: () => {} });
  return { outcome, history, record, result };
}
