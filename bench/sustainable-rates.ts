import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type MeasuredRun, measuredRuns } from '../src/calibration/serving-measurement.ts';
import { parseScenario } from '../src/config/load-scenario.ts';
import { resolveScenario } from '../src/config/resolve-scenario.ts';
import { runSimulation } from '../src/runtime/run-simulation.ts';
import type { RunSpec } from '../src/runtime/run-spec.ts';
import { atRate, sustainableRate } from '../src/runtime/sustainable-rate.ts';
import { circumstances, inWords, table } from './report.ts';

// How long the search for the sustainable rate takes, and whether runs above and below it are told apart, for each model of measured
// serving runs: `npx tsx bench/sustainable-rates.ts CSV...` (the files of `twinfer validate`).
//
//   --only TEXT     models whose name contains TEXT
//   --all           every workload of a model, not only its first
//
// Bars: 30 s a search; a run at 1.2 times the rate is reported as saturated, one at 0.8 times is not.

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', default: '' }, all: { type: 'boolean', default: false } },
});
if (files.length === 0) throw new RangeError('no files: give those of twinfer validate');

const runs = measuredRuns(files.map((file) => ({ file, text: readFileSync(file, 'utf8') })));
const H100 = /^H100( SXM.*)?$/;
const seen = new Set<string>();
const rows: string[][] = [];
for (const run of runs) {
  const key = flags.all ? `${run.model} ${run.workload}` : run.model;
  if (seen.has(key) || !H100.test(run.hardware) || !run.model.includes(flags.only)) continue;
  seen.add(key);
  rows.push(await rowOf(run));
}
const head = ['model', 'load', 'sustained/s', 'search s', '', 'at 1.2 x', 'at 0.8 x', '', 'measured at, /s'];
console.log(`${inWords(circumstances())}\n${table(head, rows)}`);

async function rowOf(run: MeasuredRun): Promise<string[]> {
  const spec = scenarioOf(run);
  const { requestsPerSecond: rate, trialSeconds, wallSeconds } = await sustainableRate(spec, runSimulation);
  const saturated = async (factor: number) => {
    const { summary } = await runSimulation(atRate(spec, factor * rate, trialSeconds));
    return summary.capacity?.saturated === true;
  };
  const [above, below] = [await saturated(1.2), await saturated(0.8)];
  return [
    `${run.model.replace(/^.*\//, '')} x ${run.tensorParallel}`,
    run.workload,
    rate.toFixed(2),
    wallSeconds.toFixed(1),
    wallSeconds < 30 ? 'ok' : 'missed',
    above ? 'saturated' : 'sustained',
    below ? 'saturated' : 'sustained',
    above && !below ? 'ok' : 'missed',
    run.stages.map(({ ratePerSecond }) => ratePerSecond).join(', '),
  ];
}

/** The server and the load of a measured run as a scenario. */
function scenarioOf(run: MeasuredRun): RunSpec {
  const prompt = Math.round(run.promptTokensMean ?? run.systemPromptTokens + run.questionTokens);
  const text = {
    name: 'measured',
    description: run.name,
    model: { name: run.model, ...(run.fp8 ? { weights: 'fp8' } : {}) },
    device: {
      name: 'h100-sxm-80gb',
      tensor_parallel_size: run.tensorParallel,
      gpu_memory_utilization: run.gpuMemoryUtilization ?? 0.9,
    },
    engine: {
      profile: 'vllm-v1',
      max_num_seqs: run.sequencesMax,
      max_num_batched_tokens: run.tokensPerStepMax,
      ...(run.blocksTotal === null ? {} : { num_gpu_blocks: run.blocksTotal }),
    },
    workload: {
      kind: 'generated',
      arrivals: { process: 'poisson', requests_per_second: 1 },
      content: {
        kind: 'shared-prefix',
        groups: run.groups,
        users_per_group: run.usersPerGroup,
        system_prompt_tokens: run.systemPromptTokens,
        question_tokens: prompt - run.systemPromptTokens,
        output_tokens: run.outputTokens,
      },
    },
    limits: { duration: '60s' },
  };
  return resolveScenario(parseScenario(JSON.stringify(text), run.name));
}
