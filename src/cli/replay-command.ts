import { Command } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { addRunOptions, type RunOptions } from './run-options.ts';
import { type CliContext, runTwin } from './run-twin.ts';

/** `twinfer replay TRACE --scenario SCENARIO`: recorded traffic on the scenario's model, device and engine. */
export function replayCommand(context: CliContext): Command {
  const command = new Command('replay')
    .description("Replay recorded traffic on a scenario's model, device and engine")
    .argument('<trace>', 'trace file: Azure CSV, Mooncake JSONL or Twinfer JSONL, plain or .gz')
    .requiredOption('--scenario <scenario>', 'path of a scenario (YAML), or the name of a bundled one');
  return addRunOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer replay AzureLLMInferenceTrace_conv.csv --scenario llama-3.1-8b-h100
  $ twinfer replay trace.jsonl.gz --scenario mine.yaml --window 10min:20min --rate-scale 4 --out out/peak
  $ twinfer replay trace.jsonl --scenario mine.yaml --decision-log a.log
  $ twinfer replay trace.jsonl --scenario mine.yaml --verify a.log`,
    )
    .action((trace: string, options: RunOptions & { readonly scenario: string }) =>
      runTwin(context, loadScenario(scenarioPath(options.scenario)), options, { tracePath: trace }),
    );
}
