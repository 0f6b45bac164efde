import Table from 'cli-table3';
import { Command, Option } from 'commander';
import { deviceSpec, type ProfileResidual } from '../backends/simulated/index.ts';
import { profileText } from '../calibration/device-calibration.ts';
import { calibrateDevice } from '../runtime/calibrate-device.ts';
import { OutputFiles } from '../runtime/output-files.ts';
import { UsageError } from './exit-codes.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import type { CliContext } from './run-twin.ts';

interface CalibrateOptions {
  readonly device: string;
  readonly date: string;
  readonly framework: string;
  readonly frameworkVersion: string;
  readonly ncclVersion: string;
  readonly elementwise: string;
  readonly output?: string;
}

/** `twinfer calibrate TABLES`: a device profile from measured kernel times. */
export function calibrateCommand(context: CliContext): Command {
  return new Command('calibrate')
    .description('Make a device profile from tables of measured kernel times')
    .argument('<tables>', 'folder of the tables, laid out as in ai-dynamo/aiconfigurator')
    .requiredOption(
      '--elementwise <file>',
      'kernels.csv of bench/gpu/measure_kernels.py: the kernels between the products',
    )
    .requiredOption('--date <day>', 'written into the profile, YYYY-MM-DD', day)
    .option('--output <file>', 'write the profile into this file')
    .addOption(new Option('--device <name>', 'the device that was measured').default('H100-SXM-80GB'))
    .addOption(new Option('--framework <name>', 'whose kernels').default('vllm'))
    .addOption(new Option('--framework-version <version>', 'version of the framework').default('0.24.0'))
    .addOption(new Option('--nccl-version <version>', 'version of NCCL').default('2.27.3'))
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer calibrate tables/h100 --elementwise bench/gpu/h100-2026-11-24/kernels.csv --date 2026-11-24 --output h100.json`,
    )
    .action((tables: string, options: CalibrateOptions) => calibrate(context, tables, options));
}

function calibrate({ io }: CliContext, tables: string, options: CalibrateOptions): void {
  const profile = calibrateDevice({
    tables,
    framework: options.framework,
    version: options.frameworkVersion,
    ncclVersion: options.ncclVersion,
    elementwise: options.elementwise,
    device: deviceSpec(options.device).name,
    createdOn: options.date,
  });
  if (options.output !== undefined) {
    const files = new OutputFiles();
    try {
      files.create('--output', options.output).write(profileText(profile));
      files.commit();
    } finally {
      files.abandon();
    }
  }
  io.stdout.write(`${residualTable(profile.residuals)}\n`);
}

function residualTable(residuals: readonly ProfileResidual[]): string {
  const table = new Table({
    ...PLAIN_TABLE,
    head: ['table', 'left out', 'points', 'median error', 'p90 error', 'bias'],
  });
  for (const { table: name, leftOut, points, medianAbsError, p90AbsError, bias } of residuals) {
    table.push([name, leftOut, String(points), percent(medianAbsError), percent(p90AbsError), percent(bias)]);
  }
  return table.toString();
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

function day(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) {
    throw new UsageError(`--date: ${JSON.stringify(text)} is not allowed; allowed: a day as YYYY-MM-DD`);
  }
  return text;
}
