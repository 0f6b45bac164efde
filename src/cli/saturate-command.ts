import Table from 'cli-table3';
import { Command } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { type RateTrial, type SustainableRate, sustainableRate } from '../runtime/sustainable-rate.ts';
import { LIMITS_IN_WORDS } from '../simulation/report/capacity-text.ts';
import { countText, durationText, numberText } from '../simulation/report/quantities.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import { resolveWithFlags } from './resolve-with-flags.ts';
import { addEngineOptions, overridesOf, type RunOptions } from './run-options.ts';
import type { CliContext } from './run-twin.ts';

/** `twinfer saturate SCENARIO`: the highest arrival rate that a configuration sustains. */
export function saturateCommand(context: CliContext): Command {
  const command = new Command('saturate')
    .description('Find the highest arrival rate that a scenario sustains, by simulated runs')
    .argument('<scenario>', 'path of a scenario (YAML) with a generated workload, or the name of a bundled one');
  addEngineOptions(command);
  return command
    .option('--json', 'print one JSON document instead of the table')
    .addHelpText(
      'after',
      `
Requests are those of the scenario's workload, in Poisson arrivals; its time-outs and faults are left out. A rate is sustained when the
waiting queue does not grow as long as requests arrive. The rate found is at most 2 % below the lowest one that is not.

Examples:
  $ twinfer saturate vllm-v1
  $ twinfer saturate llama-3.1-8b-h100 --max-num-seqs 512 --json | jq .requestsPerSecond`,
    )
    .action(async (scenario: string, options: RunOptions) => {
      const spec = resolveWithFlags(
        loadScenario(scenarioPath(scenario)),
        overridesOf({ ...options, fastForward: true }),
      );
      context.running(spec);
      const result = await sustainableRate(spec, context.simulate);
      context.io.stdout.write(options.json === true ? `${JSON.stringify(result, null, 2)}\n` : text(result));
    });
}

function text(result: SustainableRate): string {
  const { binding } = result;
  const limit = binding === null ? '' : `; ${LIMITS_IN_WORDS[binding]}`;
  return `${result.scenario}: sustains ${numberText(result.requestsPerSecond)} requests/s, ${countText(Math.round(result.outputTokensPerSecond))} output tokens/s${limit}

${trialTable(result.trials)}

${result.trials.length} runs with ${durationText(result.trialSeconds)} of arrivals each, in ${durationText(result.wallSeconds)}; seed ${result.seed}
`;
}

function trialTable(trials: readonly RateTrial[]): string {
  const table = new Table({
    ...PLAIN_TABLE,
    head: ['requests/s', 'TTFT mean', 'TTFT p99', 'TPOT mean', 'E2E mean', 'E2E p99'],
  });
  for (const { requestsPerSecond, latencySeconds } of trials) {
    const rate = numberText(requestsPerSecond);
    if (latencySeconds === null) {
      table.push([rate, { colSpan: 5, content: 'saturated: the queue grows' }]);
      continue;
    }
    const { ttft, tpot, e2e } = latencySeconds;
    table.push([rate, ...[ttft.mean, ttft.p99, tpot.mean, e2e.mean, e2e.p99].map(durationText)]);
  }
  return table.toString();
}
