import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { Command, Option } from 'commander';
import { loadScenario } from '../config/load-scenario.ts';
import { openWorkload } from '../runtime/open-workload.ts';
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
  let count = 0;
  const chunks = async function* () {
    for (let batch = await workload.next(); batch !== null; batch = await workload.next()) {
      count += batch.length;
      yield batch.map(traceLine).join('');
    }
  };
  try {
    if (options.output === undefined) {
      for await (const chunk of chunks()) io.stdout.write(chunk);
    } else if (options.output.endsWith('.gz')) {
      await pipeline(Readable.from(chunks()), createGzip(), createWriteStream(options.output));
    } else {
      await pipeline(Readable.from(chunks()), createWriteStream(options.output));
    }
  } finally {
    workload.close();
  }
  if (options.quiet !== true) io.stderr.write(`${count} requests written to ${options.output ?? 'stdout'}\n`);
}
