import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { ENGINE_PROFILE_NAMES } from '../config/engine-schema.ts';
import type { ScenarioOverrides } from '../config/resolve-scenario.ts';
import { HOST_NAMES, TIMING_MODELS } from '../config/timing-schema.ts';
import type { EngineProfile } from '../core/index.ts';
import { choiceFlag, integerRange, numberFlag, scenarioRange, type TimeWindow, windowFlag } from './number-flags.ts';

/** Flags of every command that runs the twin, as commander hands them over. */
export interface RunOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly out?: string;
  readonly seed?: number;
  readonly engine?: EngineProfile;
  readonly timing?: 'calibrated' | 'roofline';
  readonly host?: string;
  readonly maxNumSeqs?: number;
  readonly maxNumBatchedTokens?: number;
  readonly blockSize?: number;
  readonly numGpuBlocks?: number;
  readonly rateScale?: number;
  readonly timeScale?: number;
  readonly window?: TimeWindow;
  readonly limit?: number;
  readonly maxPromptTokens?: number;
  readonly maxOutputTokens?: number;
  readonly skipBad?: boolean;
  readonly fastForward: boolean;
  readonly digest?: 'records' | 'steps';
  readonly decisionLog?: string;
  readonly timeline?: string;
  readonly timelineWindow?: TimeWindow;
  readonly checkEveryStep?: boolean;
  readonly metrics?: string;
  readonly spans?: string;
  readonly spanRatio?: number;
  readonly spanEpoch?: number;
  readonly failOnTargets?: boolean;
  readonly verify?: string;
}

/** Ratio by which `--rate-scale` and `--time-scale` may stretch a workload. */
const SCALE_RANGE = { min: 1e-6, max: 1e6, integer: false, words: 'a number in [0.000001, 1000000]' };

/** Adds what `simulate` and `replay` share. */
export function addRunOptions(command: Command): Command {
  addEngineOptions(command);
  addWorkloadOptions(command);
  return command
    .option('--no-fast-forward', 'run every decode step on its own: same digest, slower')
    .addOption(
      new Option('--digest <what>', 'what the digest covers: records (of requests, and evictions), or steps as well')
        .argParser(choiceFlag('--digest', ['records', 'steps'] as const))
        .default(undefined, 'records'),
    )
    .option('--decision-log <file>', 'write what was scheduled in each step, and why the others wait')
    .option('--verify <log>', 'compare every step with this decision log; exit code 1 at a difference')
    .option(
      '--timeline <file>',
      'write steps, requests and KV cache as tracks that ui.perfetto.dev opens; .gz packs it',
    )
    .addOption(
      new Option(
        '--timeline-window <start:end>',
        'part of the run for --timeline, simulated seconds or durations',
      ).argParser(windowFlag('--timeline-window')),
    )
    .option('--check-every-step', 'check all invariants after every step, not once per 10 simulated minutes')
    .option(
      '--metrics <file>',
      'write what a scrape every 15 s would have seen: OpenMetrics (.om, .prom, .txt) or a recording (.jsonl), also with .gz',
    )
    .option('--spans <file>', 'write traces of requests as OTLP/JSON, one line a batch; .gz packs it')
    .addOption(
      new Option('--span-ratio <x>', 'share kept for --spans of what is neither failed, nor slow, nor preempted')
        .argParser(numberFlag('--span-ratio', { min: 0, max: 1, integer: false, words: 'a number in [0, 1]' }))
        .default(undefined, '0.1'),
    )
    .addOption(
      new Option('--span-epoch <s>', 'when simulated time 0 is for --spans, seconds since 1970')
        .argParser(numberFlag('--span-epoch', integerRange(0, 2 ** 33)))
        .default(undefined, '1705312800, which is 2024-01-15T10:00:00Z'),
    )
    .option('--out <dir>', 'write records, time series, report.html and dashboard.html into this folder')
    .option('--json', 'print one JSON document instead of the table')
    .option('--quiet', 'no progress, no notes')
    .option('--fail-on-targets', 'exit with code 1 when a target of the scenario is missed');
}

/** Adds the flags of the engine and the seed. */
export function addEngineOptions(command: Command): void {
  const field = (flag: string, name: string, description: string) =>
    command.addOption(
      new Option(`${flag} <n>`, description).argParser(numberFlag(flag, scenarioRange('engine', name))),
    );
  command.addOption(
    new Option('--seed <n>', 'seed of arrivals, lengths and everything else that is drawn').argParser(
      numberFlag('--seed', scenarioRange('seed')),
    ),
  );
  command.addOption(
    new Option('--engine <profile>', `policies of the engine: ${ENGINE_PROFILE_NAMES.join(', ')}`).argParser(
      choiceFlag('--engine', ENGINE_PROFILE_NAMES),
    ),
  );
  command.addOption(
    new Option('--timing <model>', `where step times come from: ${TIMING_MODELS.join(', ')}`).argParser(
      choiceFlag('--timing', TIMING_MODELS),
    ),
  );
  command.option(
    '--host <name>',
    `what the engine adds to the kernels: ${HOST_NAMES.join(', ')}, or the path of a profile`,
  );
  field('--max-num-seqs', 'max_num_seqs', 'sequences that run at the same time');
  field('--max-num-batched-tokens', 'max_num_batched_tokens', 'token budget of one step');
  field('--block-size', 'block_size', 'tokens per KV block');
  field('--num-gpu-blocks', 'num_gpu_blocks', 'KV blocks, instead of what the memory model resolves');
}

/** Adds the flags that cut or stretch any open-loop workload. */
export function addScaleOptions(command: Command): Command {
  scaleOption(command, '--rate-scale', 'requests arrive x times as fast');
  scaleOption(command, '--time-scale', 'time between arrivals grows x times');
  countOption(command, '--limit', 'stop after this many requests');
  return command;
}

/** Adds these and the ones that only traces know. */
function addWorkloadOptions(command: Command): void {
  addScaleOptions(command);
  command.addOption(
    new Option('--window <start:end>', 'replay this part of a trace only, seconds or durations').argParser(
      windowFlag('--window'),
    ),
  );
  countOption(command, '--max-prompt-tokens', 'cut longer prompts of a trace');
  countOption(command, '--max-output-tokens', 'cut longer outputs of a trace');
  command.option('--skip-bad', 'count and report bad rows of a trace instead of failing');
}

function countOption(command: Command, flag: string, description: string): void {
  command.addOption(new Option(`${flag} <n>`, description).argParser(numberFlag(flag, integerRange(1, 2 ** 31))));
}

function scaleOption(command: Command, flag: string, description: string): void {
  command.addOption(new Option(`${flag} <x>`, description).argParser(numberFlag(flag, SCALE_RANGE)));
}

/** What the flags change in a scenario. */
export function overridesOf(options: RunOptions): ScenarioOverrides {
  return {
    seed: options.seed,
    engine: {
      profile: options.engine,
      max_num_seqs: options.maxNumSeqs,
      max_num_batched_tokens: options.maxNumBatchedTokens,
      block_size: options.blockSize,
      num_gpu_blocks: options.numGpuBlocks,
      fast_forward: options.fastForward ? undefined : false,
      check_interval: options.checkEveryStep === true ? '0s' : undefined,
    },
    timing: { model: options.timing, host: options.host === undefined ? undefined : hostOf(options.host) },
    workload: workloadOverridesOf(options),
    output: {
      directory: options.out,
      digest: options.digest === 'steps' ? 'steps' : undefined,
      decisionLogFile: options.decisionLog,
      verifyFile: options.verify,
    },
  };
}

/** A path on the command line is relative to the working directory, not to the scenario. */
function hostOf(host: string): string {
  return HOST_NAMES.includes(host) ? host : resolve(host);
}

/** The workload's part of it. */
export function workloadOverridesOf(options: Partial<RunOptions>): NonNullable<ScenarioOverrides['workload']> {
  return {
    rateScale: options.rateScale,
    timeScale: options.timeScale,
    window: options.window,
    requestsMax: options.limit,
    promptTokensMax: options.maxPromptTokens,
    outputTokensMax: options.maxOutputTokens,
    skipBadRows: options.skipBad,
  };
}
