import {
  catalogueModel,
  H100_SXM,
  ModelledHostTimer,
  RooflineTimingModel,
  SimulatedBackend,
} from '../src/backends/simulated/index.ts';
import { loadScenario } from '../src/config/load-scenario.ts';
import { resolveScenario } from '../src/config/resolve-scenario.ts';
import { Engine, engineConfig, NO_SINK, Request, StreamTokens, VirtualClock } from '../src/core/index.ts';
import { createMetricsPage, EngineMetrics, renderMetrics } from '../src/observability/index.ts';
import { MetricsObserver } from '../src/runtime/metrics-observer.ts';
import { runSimulation } from '../src/runtime/run-simulation.ts';
import { circumstances, inWords } from './report.ts';

// What metrics cost an engine on the simulated device: 256 sequences decode, step by step and in runs of steps, with and without
// metrics in turns, each the best of its rounds; what they cost whole simulated runs; and what a scrape costs. `npx tsx bench/metrics-cost.ts`

const SEQUENCES = 256;
const OUTPUT_TOKENS = 2000;
const ROUNDS = 15;
const GIB = 2 ** 30;
const TIMING = new RooflineTimingModel(catalogueModel('llama-3.1-8b'), H100_SXM, 16, {
  tensorParallel: 1,
  tokensPerStepMax: 8192,
});

const page = createMetricsPage();
console.log(inWords(circumstances()));
for (const stepsMax of [1, 4096]) compare(stepsMax);
for (const path of ['scenarios/llama-3.1-8b-h100.yaml', 'scenarios/speculative.yaml']) await wholeRuns(path);
await scrapes();

/** One run to its end; its wall time, ms, and its steps. */
function run(stepsMax: number, metered: boolean): { readonly ms: number; readonly steps: number } {
  const clock = new VirtualClock();
  const blocksTotal = 40_000;
  const config = engineConfig('twinfer', {
    blocksTotal,
    sequencesMax: SEQUENCES,
    tokensPerStepMax: 8192,
    modelLenMax: 8192,
  });
  const memory = {
    totalBytes: 80 * GIB,
    budgetBytes: 72 * GIB,
    weightBytes: 16 * GIB,
    activationBytes: GIB,
    runtimeBytes: GIB,
    blockBytes: 2 ** 20,
    kvBytes: blocksTotal * 2 ** 20,
    blocksTotal,
    hostBlocksTotal: 0,
  };
  const options = {
    clock,
    device: H100_SXM,
    tensorParallel: 1,
    memory,
    timing: TIMING,
    stepsInFlight: config.stepsInFlight,
  };
  const backend = new SimulatedBackend({ ...options, stepsMax, acceptance: null, faults: null });
  const metrics = metered ? new EngineMetrics(page, { config, backend }) : null;
  const engine = new Engine({ config, clock, backend, events: metrics, hostTimer: new ModelledHostTimer() });
  metrics?.attach(engine);
  for (let id = 0; id < SEQUENCES; id++)
    engine.submit(new Request(id, 0, new StreamTokens(128, id + 1), OUTPUT_TOKENS), NO_SINK);
  const from = performance.now();
  clock.run();
  return { ms: performance.now() - from, steps: engine.totals.steps };
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
