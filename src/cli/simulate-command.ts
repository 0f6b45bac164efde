import { Command } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { addRunOptions, type RunOptions } from './run-options.ts';
import { type CliContext, runTwin } from './run-twin.ts';

/** `twinfer simulate SCENARIO`: the workload that the scenario describes. */
export function simulateCommand(context: CliContext): Command {
  const command = new Command('simulate')
    .description('Run a scenario on the simulated device and print what its users would have seen')
    .argument('<scenario>', 'path of a scenario (YAML), or the name of a bundled one');
  return addRunOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer simulate scenarios/llama-3.1-8b-h100.yaml
  $ twinfer simulate llama-3.1-8b-h100 --rate-scale 2 --max-num-seqs 128 --out out/busy
  $ twinfer simulate overload --json --fail-on-targets | jq .latencySeconds.ttft`,
    )
    .action((scenario: string, options: RunOptions) => runTwin(context, loadScenario(scenarioPath(scenario)), options));
}
