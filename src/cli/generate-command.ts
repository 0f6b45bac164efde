import { Command, Option } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { openWorkload } from '../runtime/open-workload.ts';
import { OutputFiles } from '../runtime/output-files.ts';
import type { RunSpec } from '../runtime/run-spec.ts';
import type { Workload } from '../simulation/workload.ts';
import { scenarioPath } from './bundled-scenarios.ts';
import { UsageError } from './exit-codes.ts';
import { numberFlag, scenarioRange } from './number-flags.ts';
import { resolveWithFlags } from './resolve-with-flags.ts';
import { addScaleOptions, type RunOptions, workloadOverridesOf } from './run-options.ts';
import type { CliContext } from './run-twin.ts';
import { traceLine } from './trace-line.ts';

type GenerateOptions = Pick<RunOptions, 'seed' | 'rateScale' | 'timeScale' | 'limit' | 'quiet'> & {
  readonly output?: string;
};

/** `twinfer generate SCENARIO`: the workload as a trace, for other tools and for replays. */
export function generateCommand(context: CliContext): Command {
  const command = new Command('generate')
    .description("Write a scenario's workload as a trace in Twinfer's JSONL format")
    .argument('<scenario>', 'path of a scenario (YAML), or the name of a bundled one')
    .option('--output <file>', 'write into this file (compressed when it ends in .gz) instead of stdout')
    .addOption(
      new Option('--seed <n>', 'seed of arrivals and lengths').argParser(numberFlag('--seed', scenarioRange('seed'))),
    )
    .option('--quiet', 'no notes');
  return addScaleOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer generate shared-prefix --limit 1000 | head -3
  $ twinfer generate mine.yaml --seed 7 --output trace.jsonl.gz`,
    )
    .action(async (scenario: string, options: GenerateOptions) => {
      const loaded = loadScenario(scenarioPath(scenario));
      const spec = resolveWithFlags(loaded, { seed: options.seed, workload: workloadOverridesOf(options) });
      refuseClosedLoop(spec);
      await write(context, openWorkload(spec), options);
    });
}

/** Who is served when decides when a closed loop asks again: its arrivals are a result, not an input. */
function refuseClosedLoop({ workload, scenario }: RunSpec): void {
  if (workload.kind === 'generated' && workload.spec.arrivals.kind === 'closed-loop') {
    throw new UsageError(
      `scenario: ${scenario} is not allowed; allowed: open-loop arrivals, a closed loop has no trace`,
    );
  }
}

async function write({ io }: CliContext, workload: Workload, options: GenerateOptions): Promise<void> {
  const { output, quiet } = options;
  // A workload that ends with a bad row of its trace leaves no half of a file.
  const files = new OutputFiles();
  let count = 0;
  try {
    const out = output === undefined ? io.stdout : files.create('--output', output);
    for (let batch = await workload.next(); batch !== null; batch = await workload.next()) {
      count += batch.length;
      out.write(batch.map(traceLine).join(''));
    }
    files.commit();
  } finally {
    files.abandon();
    workload.close();
  }
  if (quiet !== true) io.stderr.write(`${count} requests written to ${output ?? 'stdout'}\n`);
}
