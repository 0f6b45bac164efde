import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BUILT_CLI, startGateway } from './gateway-load/gateway-process.ts';
import { runLoad } from './gateway-load/server-process.ts';
import { median } from './measure.ts';
import { circumstances, inWords, table } from './report.ts';

// Whether a change made Twinfer slower: `npx tsx bench/compare-builds.ts --old OTHER/dist/src/cli/main.js`.
//
//   --old FILE     command line of the build to compare with
//   --new FILE     command line of the build in question (default: dist/src/cli/main.js)
//   --runs N       pairs of runs, old and new by turns (default 7)
//   --seconds N    measured per run of a server (default 4)
//   --data DIR     folder that holds traces/azure-2023 (default: TWINFER_DATA); without it nothing is replayed
//   --only TEXT    cases whose name contains TEXT
//   --json         one JSON document instead of the table
//
// Each run is a fresh process. The figure is CPU time of the main thread per unit of work: on a shared machine it varies less
// than wall time. A case passes with a median ratio, new to old, of at most 1.03; the exit code is 1 otherwise.

const RATIO_MAX = 1.03;
const STREAMS = 256;
const STREAM_TOKENS = 1000;
const SINGLE_CONNECTIONS = 64;
const WARM_UP_MS = 2000;
const MESSAGES = [{ role: 'user', content: 'Say something about rivers.' }];
const SCENARIO = fileURLToPath(new URL('../scenarios/llama-3.1-8b-h100.yaml', import.meta.url));
/** Runs before the command line: reports CPU time of the main thread, ns, on the fourth channel (proc_pid_schedstat(5)). */
const WATCH = `import { readFileSync, writeSync } from 'node:fs';
process.on('exit', () => writeSync(3, readFileSync('/proc/self/schedstat', 'utf8').split(' ')[0]));`;

const { values: flags } = parseArgs({
  options: {
    old: { type: 'string' },
    new: { type: 'string', default: BUILT_CLI },
    runs: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '4' },
    data: { type: 'string', default: process.env['TWINFER_DATA'] ?? '' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
});
if (flags.old === undefined) throw new RangeError('--old: expected the command line of the build to compare with');
const runs = Number(flags.runs);

interface Case {
  readonly name: string;
  readonly unit: string;
  /** CPU time of the main thread per unit of work, in `unit`. */
  measure(cli: string): number | Promise<number>;
}

const trace = `${flags.data}/traces/azure-2023/AzureLLMInferenceTrace_conv.csv`;
const cases: Case[] = [
  {
    name: 'streamed tokens',
    unit: 'us/token',
    measure: (cli) => serve(cli, '/v1/chat/completions', STREAMS, true),
  },
  {
    name: 'completions of one token',
    unit: 'us/answer',
    measure: (cli) => serve(cli, '/v1/completions', SINGLE_CONNECTIONS, false),
  },
];
if (flags.data !== '' && existsSync(trace)) {
  const replay = ['replay', trace, '--scenario', SCENARIO, '--num-gpu-blocks', '30208', '--json', '--quiet'];
  cases.push({ name: 'replay, runs of steps', unit: 'ms', measure: (cli) => command(cli, replay) });
  const stepping = [...replay, '--no-fast-forward'];
  cases.push({ name: 'replay, step by step', unit: 'ms', measure: (cli) => command(cli, stepping) });
}

const results = [];
for (const subject of cases.filter(({ name }) => name.includes(flags.only))) {
  const before: number[] = [];
  const after: number[] = [];
  for (let run = 0; run < runs; run++) {
    // Which one goes first alternates as well.
    const first = run % 2 === 0;
    if (first) before.push(await subject.measure(flags.old));
    after.push(await subject.measure(flags.new));
    if (!first) before.push(await subject.measure(flags.old));
    console.error(`${subject.name}: ${run + 1} of ${runs}, ratio ${(after[run]! / before[run]!).toFixed(3)}`);
  }
  const ratios = after.map((value, run) => value / before[run]!);
  const { name, unit } = subject;
  results.push({ name, unit, old: median(before), new: median(after), ratio: median(ratios), ratios });
}
const where = circumstances();
if (flags.json) console.log(JSON.stringify({ ...where, runs, results }, null, 2));
else {
  const rows = results.map((r) => [
    `${r.name}, ${r.unit}`,
    r.old.toPrecision(3),
    r.new.toPrecision(3),
    r.ratio.toFixed(3),
    `${Math.min(...r.ratios).toFixed(2)} to ${Math.max(...r.ratios).toFixed(2)}`,
    r.ratio <= RATIO_MAX ? 'ok' : 'slower',
  ]);
  console.log(`${inWords(where)}\n${runs} pairs; medians of main-thread CPU`);
  console.log(table(['case', 'old', 'new', 'ratio', 'range', ''], rows));
}
if (results.some(({ ratio }) => ratio > RATIO_MAX)) process.exitCode = 1;

/** Loads a fresh server with streams, or with answers of one token, us of its main thread per token or answer. */
async function serve(cli: string, path: string, connections: number, stream: boolean): Promise<number> {
  const server = await startGateway(cli, ['time_scale: 0', 'limits: {max_waiting: 4096, max_queue_wait: 60s}']);
  const body = stream
    ? { messages: MESSAGES, max_tokens: STREAM_TOKENS, ignore_eos: true, stream: true }
    : { prompt: MESSAGES[0]!.content, max_tokens: 1 };
  try {
    const result = await runLoad({
      port: server.port,
      pid: server.pid,
      path,
      body,
      headers: {},
      connections,
      warmUpMs: WARM_UP_MS,
      durationMs: 1000 * Number(flags.seconds),
      extraEvents: 3,
      clockOffsetNs: null,
    });
    if (result.failures > 0) throw new Error(`${cli}: ${result.failures} x ${result.firstFailure}`);
    return (1e6 * result.serverMainThreadCpuSeconds) / (stream ? result.tokens : result.answers);
  } finally {
    await server.stop();
  }
}

/** Runs the command line to its end, ms of its main thread. */
function command(cli: string, argumentsOfCli: readonly string[]): number {
  const watch = `data:text/javascript,${encodeURIComponent(WATCH)}`;
  const child = spawnSync(process.execPath, ['--import', watch, cli, ...argumentsOfCli], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  if (child.status !== 0) throw new Error(`${cli} ${argumentsOfCli[0]}: exit code ${child.status ?? child.signal}`);
  return Number(String(child.output[3])) / 1e6;
}
