import Table from 'cli-table3';
import { Command } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { bundledScenarios } from './bundled-scenarios.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import type { CliContext } from './run-twin.ts';

/** `twinfer scenarios`: what comes with Twinfer. */
export function scenariosCommand(context: CliContext): Command {
  return new Command('scenarios')
    .description('List the bundled scenarios')
    .option('--json', 'print a JSON list')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer scenarios
  $ twinfer scenarios --json | jq -r '.[].path'`,
    )
    .action((options: { readonly json?: boolean }) => {
      const rows = bundledScenarios().map(({ name, path }) => ({
        name,
        path,
        description: loadScenario(path).scenario.description,
      }));
      if (options.json === true) {
        context.io.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
        return;
      }
      const table = new Table({
        ...PLAIN_TABLE,
        head: ['scenario', 'what it is'],
        colWidths: [null, 88],
        wordWrap: true,
      });
      for (const row of rows) table.push([row.name, row.description]);
      context.io.stdout.write(`${table.toString()}\n`);
    });
}
