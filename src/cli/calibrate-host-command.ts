import Table from 'cli-table3';
import { Command } from 'commander';
import type { EngineHostProfile } from '../backends/simulated/index.ts';
import { OutputFiles } from '../runtime/output-files.ts';
import { calibrateHost } from '../runtime/validate-serving.ts';
import { PLAIN_TABLE } from './plain-table.ts';
import { untilStopped, workView } from './progress-bar.ts';
import type { CliContext } from './run-twin.ts';

interface CalibrateHostOptions {
  readonly engine: string;
  readonly date: string;
  readonly output: string;
  readonly json?: true;
}

/** `twinfer calibrate-host CSV...`: an engine host profile from measured serving runs. */
export function calibrateHostCommand(context: CliContext): Command {
  return new Command('calibrate-host')
    .description('Fit what an engine costs beside the kernels to measured serving runs; takes a minute or two')
    .argument('<csv...>', 'measurements of inference-perf runs, one row a stage')
    .requiredOption('--output <file>', 'write the profile into this file')
    .requiredOption('--date <day>', 'written into the profile, YYYY-MM-DD')
    .option('--engine <name>', 'whose host it is', 'vllm-0.15')
    .option('--json', 'print the profile instead of a table of its coefficients')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer calibrate-host vllm-0.15-open-loop.csv --date 2026-11-24 --output vllm-0.15-host.json`,
    )
    .action((files: string[], options: CalibrateHostOptions) => calibrate(context, files, options));
}

function calibrate(
  { io }: CliContext,
  files: string[],
  { engine, date, output: path, json }: CalibrateHostOptions,
): void {
  const output = new OutputFiles();
  try {
    // Before the fit: whoever waits for minutes wants to keep what comes out.
    const written = output.create('--output', path);
    const view = workView(io.stderr, 'fit');
    const profile = untilStopped(view, () => calibrateHost(files, engine, date, view.update));
    const text = `${JSON.stringify(profile, null, 2)}\n`;
    written.write(text);
    output.commit();
    io.stdout.write(json === true ? text : `${coefficientTable(profile)}\n`);
  } finally {
    output.abandon();
  }
}

/** Every number of the profile; times in microseconds. */
function coefficientTable(profile: EngineHostProfile): string {
  const table = new Table({ ...PLAIN_TABLE, head: ['coefficient', 'value'] });
  const add = (name: string, value: unknown) => {
    if (typeof value === 'number') table.push([name, /Ns|\.ns/.test(name) ? `${value / 1000} us` : String(value)]);
  };
  for (const [name, value] of Object.entries(profile)) if (name !== 'formatVersion') add(name, value);
  for (const group of ['slowFirstTokens', 'scale'] as const) {
    for (const [name, value] of Object.entries(profile[group])) add(`${group}.${name}`, value);
  }
  return `${table.toString()}\n\n${profile.residuals.length} stages predicted without their model: see residuals`;
}
