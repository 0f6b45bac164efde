import { basename } from 'node:path';
import { Command } from 'commander';
import { readRecording } from '../runtime/metrics-recording.ts';
import { OutputFiles } from '../runtime/output-files.ts';
import { recordedDashboard } from '../runtime/recorded-dashboard.ts';
import type { CliContext } from './run-twin.ts';

interface DashboardOptions {
  readonly out?: string;
}

/** `twinfer dashboard RECORDING`: the dashboard of a run that is over, as one HTML file. */
export function dashboardCommand(context: CliContext): Command {
  return new Command('dashboard')
    .description('Write the dashboard of a recording as one HTML page that needs nothing else')
    .argument('<recording>', 'what twinfer serve --record or a simulated run has written, also .gz')
    .option('--out <file>', 'the page; without it the name of the recording with .html')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer dashboard out/serve.jsonl
  $ twinfer dashboard out/day.jsonl.gz --out out/day.html

The alerts shown are those of the bundled rules, judged on the recording as Prometheus would.`,
    )
    .action(async (recording: string, options: DashboardOptions) => {
      const history = await readRecording(recording);
      const name = basename(recording).replace(/(?:\.jsonl)?(?:\.gz)?$/, '');
      const out = options.out ?? `${recording.replace(/(?:\.jsonl)?(?:\.gz)?$/, '')}.html`;
      const html = recordedDashboard({ history, title: history.info?.['model'] ?? name });
      const files = new OutputFiles();
      try {
        files.create('--out', out).write(html);
        for (const file of files.commit()) context.io.stdout.write(`${file}\n`);
      } finally {
        files.abandon();
      }
    });
}
