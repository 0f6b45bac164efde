import { Command } from 'commander';
import { OutputFiles } from '../runtime/output-files.ts';
import { calibrateHost } from '../runtime/validate-serving.ts';
import type { CliContext } from './run-twin.ts';

interface CalibrateHostOptions {
  readonly engine: string;
  readonly date: string;
  readonly output: string;
}

/** `twinfer calibrate-host CSV...`: an engine host profile from measured serving runs. */
export function calibrateHostCommand(context: CliContext): Command {
  return new Command('calibrate-host')
    .description('Fit what an engine costs beside the kernels to measured serving runs; takes a minute or two')
    .argument('<csv...>', 'measurements of inference-perf runs, one row a stage')
    .requiredOption('--output <file>', 'write the profile into this file')
    .requiredOption('--date <day>', 'written into the profile, YYYY-MM-DD')
    .option('--engine <name>', 'whose host it is', 'vllm-0.15')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer calibrate-host vllm-0.15-open-loop.csv --date 2026-11-24 --output vllm-0.15-host.json`,
    )
    .action((files: string[], options: CalibrateHostOptions) => {
      const pass = (done: number, configurations: number) => {
        context.io.stderr.write(`${done} of ${configurations} configurations\n`);
      };
      const output = new OutputFiles();
      try {
        // Before the fit: whoever waits for minutes wants to keep what comes out.
        const written = output.create('--output', options.output);
        const text = `${JSON.stringify(calibrateHost(files, options.engine, options.date, { pass }), null, 2)}\n`;
        written.write(text);
        output.commit();
        context.io.stdout.write(text);
      } finally {
        output.abandon();
      }
    });
}
