import { Command } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { resolveScenario } from '../config/resolve-scenario.ts';
import { ScenarioError } from '../config/scenario-error.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { EXIT } from './exit-codes.ts';
import type { CliContext } from './run-twin.ts';

/** `twinfer validate-scenario FILE...`: every problem of every file, one line each. */
export function validateScenarioCommand(context: CliContext): Command {
  return new Command('validate-scenario')
    .description('Check scenario files without running them; exit code 2 when one is wrong')
    .argument('<file...>', 'scenario files (YAML)')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer validate-scenario scenarios/*.yaml
  $ twinfer validate-scenario mine.yaml && twinfer simulate mine.yaml`,
    )
    .action((files: readonly string[]) => {
      for (const file of files) {
        try {
          resolveScenario(loadScenario(scenarioPath(file)));
          context.io.stdout.write(`${file}: ok\n`);
        } catch (error) {
          if (!(error instanceof ScenarioError)) throw error;
          context.io.stderr.write(`${error.message}\n`);
          context.exit(EXIT.badInput);
        }
      }
    });
}
