import { spawnSync } from 'node:child_process';
import { loadScenario } from '../src/config/load-scenario.ts';
import { resolveScenario } from '../src/config/resolve-scenario.ts';
import { passes, testAlerts } from '../src/runtime/alerts-test/alerts-test.ts';
import { WorldRecord } from '../src/runtime/alerts-test/world-record.ts';
import { MetricsObserver } from '../src/runtime/metrics-observer.ts';
import { runSimulation } from '../src/runtime/run-simulation.ts';
import type { RunObserver } from '../src/runtime/run-spec.ts';
import { circumstances, inWords } from './report.ts';

// The day of the alerts: how long it takes to simulate (with and without metrics, in turns), to judge in process, and to be
// repeated by a real Prometheus. `npx tsx bench/alerts-day.ts [rounds]`

const ROUNDS = Number(process.argv[2] ?? 3);
const SIMULATED_AND_JUDGED_S_MAX = 30;
const PROMETHEUS_S_MAX = 60;

const spec = resolveScenario(loadScenario('scenarios/alerts/day.yaml'));
console.log(inWords(circumstances()));
await simulated([]);
const off: number[] = [];
const metered: number[] = [];
const watched: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  off.push((await simulated([])).cpuSeconds);
  metered.push((await simulated([MetricsObserver.of(spec)])).cpuSeconds);
  watched.push((await simulated([MetricsObserver.of(spec), new WorldRecord(15)])).cpuSeconds);
}
const least = (all: readonly number[]) => Math.min(...all);
const { run } = (await simulated([])).outcome;
const cost = least(metered) - least(off);
console.log(
  `${run.requests.injected.toLocaleString('en-US')} requests, ${run.steps.toLocaleString('en-US')} steps: ` +
    `${least(off).toFixed(1)} s of processor time without metrics, ${least(metered).toFixed(1)} s with (${((100 * cost) / least(off)).toFixed(1)} %, ` +
    `${((1e6 * cost) / run.steps).toFixed(2)} us a step), ${least(watched).toFixed(1)} s with the record of the world as well`,
);

const observer = MetricsObserver.of(spec);
const record = new WorldRecord(observer.history.intervalSeconds);
const { seconds } = await simulated([observer, record]);
const prometheus = spawnSync('promtool', ['--version']).status === 0;
const input = { name: spec.scenario, history: observer.history, world: { record, spec } };
const result = await testAlerts(input, { prometheus, progress: () => {} });
const inProcess = seconds + result.wallSeconds.judging;
console.log(
  `simulated and judged in process: ${inProcess.toFixed(1)} s (at most ${SIMULATED_AND_JUDGED_S_MAX}), ` +
    `of it judging, three times: ${result.wallSeconds.judging.toFixed(1)} s`,
);
if (result.prometheus === null) console.log('promtool and prometheus are not here: not compared');
else {
  const { samplesCompared, differing } = result.prometheus;
  console.log(
    `backfilled and judged by Prometheus: ${result.wallSeconds.prometheus!.toFixed(1)} s (at most ${PROMETHEUS_S_MAX}), ` +
      `${samplesCompared.toLocaleString('en-US')} samples compared, ${differing} alerts differ`,
  );
}
if (!passes(result) || inProcess > SIMULATED_AND_JUDGED_S_MAX) process.exitCode = 1;
if ((result.wallSeconds.prometheus ?? 0) > PROMETHEUS_S_MAX) process.exitCode = 1;

async function simulated(observers: readonly RunObserver[]) {
  const from = performance.now();
  const before = process.cpuUsage();
  const outcome = await runSimulation(spec, { observers });
  const { user, system } = process.cpuUsage(before);
  return { outcome, seconds: (performance.now() - from) / 1e3, cpuSeconds: (user + system) / 1e6 };
}
