import { loadScenario } from '../src/config/load-scenario.ts';
import { resolveScenario } from '../src/config/resolve-scenario.ts';
import { createMetricsPage, EngineMetrics, renderMetrics } from '../src/observability/index.ts';
import { MetricsObserver } from '../src/runtime/metrics-observer.ts';
import { runSimulation } from '../src/runtime/run-simulation.ts';
import { decodeRun, SEQUENCES } from './decode-run.ts';
import { circumstances, inWords } from './report.ts';

// What metrics cost an engine on the simulated device: 256 sequences decode, step by step and in runs of steps, with and without
// metrics in turns, each the best of its rounds; what they cost whole simulated runs; and what a scrape costs. `npx tsx bench/metrics-cost.ts`

const ROUNDS = 15;

const page = createMetricsPage();
console.log(inWords(circumstances()));
for (const stepsMax of [1, 4096]) compare(stepsMax);
for (const path of ['scenarios/llama-3.1-8b-h100.yaml', 'scenarios/speculative.yaml']) await wholeRuns(path);
await scrapes();

function run(stepsMax: number, metered: boolean): { readonly ms: number; readonly steps: number } {
  return decodeRun(stepsMax, (config, backend) => {
    const metrics = metered ? new EngineMetrics(page, { config, backend }) : null;
    return { events: metrics, attach: (engine) => metrics?.attach(engine) };
  });
}

function compare(stepsMax: number): void {
  const off: number[] = [];
  const on: number[] = [];
  let steps = 0;
  for (let round = -2; round < ROUNDS; round++) {
    // Who goes first finds the heap as the other one left it: they take turns.
    const first = run(stepsMax, round % 2 === 0);
    const second = run(stepsMax, round % 2 !== 0);
    const [withMetrics, without] = round % 2 === 0 ? [first, second] : [second, first];
    steps = withMetrics.steps;
    if (round < 0) continue;
    off.push((1e3 * without.ms) / steps);
    on.push((1e3 * withMetrics.ms) / steps);
  }
  const [a, b] = [Math.min(...off), Math.min(...on)];
  const how = stepsMax === 1 ? 'step by step' : `in runs of up to ${stepsMax} steps`;
  const parts = [`${a.toFixed(2)} us a step without metrics`, `${b.toFixed(2)} with`, `${(b - a).toFixed(2)} more`];
  console.log(
    `${SEQUENCES} sequences, ${steps} steps, ${how}: ${parts.join(', ')} (${((100 * (b - a)) / a).toFixed(1)} %)`,
  );
}

/** A bundled scenario from its first request to its last, with metrics sampled every 15 s and without; processor time. */
async function wholeRuns(path: string): Promise<void> {
  const spec = resolveScenario(loadScenario(path));
  const off: number[] = [];
  const on: number[] = [];
  let steps = 0;
  for (let round = -1; round < ROUNDS; round++) {
    for (const metered of round % 2 === 0 ? [true, false] : [false, true]) {
      const before = process.cpuUsage();
      const { run } = await runSimulation(spec, { observers: metered ? [MetricsObserver.of(spec)] : [] });
      const { user, system } = process.cpuUsage(before);
      steps = run.steps;
      if (round >= 0) (metered ? on : off).push(user + system);
    }
  }
  const [a, b] = [Math.min(...off), Math.min(...on)];
  const parts = [`${(a / steps).toFixed(2)} us a step without metrics`, `${(b / steps).toFixed(2)} with`];
  console.log(`${spec.scenario}, ${steps} steps: ${parts.join(', ')} (${((100 * (b - a)) / a).toFixed(1)} %)`);
}

async function scrapes(): Promise<void> {
  for (const openMetrics of [false, true]) {
    const options = { openMetrics, vllmAliases: true };
    const times: number[] = [];
    let bytes = 0;
    for (let i = 0; i < 600; i++) {
      const from = performance.now();
      bytes = (await renderMetrics(page, options)).length;
      if (i >= 300) times.push(performance.now() - from);
    }
    times.sort((a, b) => a - b);
    const name = openMetrics ? 'OpenMetrics' : 'text';
    console.log(
      `scrape, ${name}, with aliases, ${bytes} bytes: p50 ${median(times).toFixed(3)} ms, p99 ${times[296]!.toFixed(3)} ms`,
    );
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
