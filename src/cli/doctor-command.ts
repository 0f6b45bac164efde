import Table from 'cli-table3';
import { Command } from 'commander';
import { loadServe, resolveServe } from '../config/load-serve.ts';
import { ScenarioError } from '../config/scenario-error.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { type Finding, finding } from '../runtime/doctor/finding.ts';
import { machineChecks, thisMachine } from '../runtime/doctor/machine-checks.ts';
import { serverChecks } from '../runtime/doctor/server-checks.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { EXIT } from './exit-codes.ts';
import { integerRange, numberFlag } from './number-flags.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import type { CliContext } from './run-twin.ts';

interface DoctorOptions {
  readonly port?: number;
  readonly modelFolder?: string;
  readonly json?: boolean;
}

/** `twinfer doctor [CONFIG]`: whether a server would run here, and how well. */
export function doctorCommand(context: CliContext): Command {
  return new Command('doctor')
    .description('Check whether a server would run here: machine, configuration, port, tokenizer, files, collector')
    .argument('[config]', 'server configuration (YAML)')
    .option('--port <number>', 'port; 0 = a free one (8000)', numberFlag('--port', integerRange(0, 65_535)))
    .option('--model-folder <folder>', 'folder with tokenizer.json; without it a byte tokenizer')
    .option('--json', 'print a JSON list')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer doctor
  $ twinfer doctor serve.yaml --json | jq '.[] | select(.verdict != "ok")'

Exit codes: 0 a server would start, with or without warnings; 1 it would not.`,
    )
    .action(async (file: string | undefined, options: DoctorOptions) => {
      const { json, ...overrides } = options;
      const findings = await examine(file ?? null, overrides);
      if (json === true) context.io.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
      else context.io.stdout.write(`${tableOf(findings)}\n`);
      if (findings.some(({ verdict }) => verdict === 'fail')) context.exit(EXIT.missed);
    });
}

async function examine(file: string | null, overrides: Omit<DoctorOptions, 'json'>): Promise<Finding[]> {
  const findings = await machineChecks(thisMachine());
  const name = file ?? 'defaults';
  let config: ServeConfig;
  try {
    config = resolveServe(loadServe(file), overrides, { scenarioPath });
  } catch (error) {
    if (!(error instanceof ScenarioError)) throw error;
    return [...findings, finding('configuration', 'fail', error.message, 'mend what the message names')];
  }
  const { model, device, tensorParallel, engine } = config.run;
  const served = `${model.name} on ${tensorParallel} x ${device.name}, ${engine.blocksTotal} KV blocks`;
  return [...findings, finding('configuration', 'ok', `${name}: ${served}`), ...(await serverChecks(config))];
}

function tableOf(findings: readonly Finding[]): string {
  const table = new Table({
    ...PLAIN_TABLE,
    head: ['check', '', 'found', 'what to do'],
    colWidths: [null, null, 60, 44],
    wordWrap: true,
  });
  for (const { check, verdict, found, advice } of findings) table.push([check, verdict, found, advice]);
  return table.toString();
}
