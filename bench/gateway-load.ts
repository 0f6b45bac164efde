import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BUILT_CLI, startGateway as startGatewayProcess } from './gateway-load/gateway-process.ts';
import type { Load, LoadResult } from './gateway-load/load-generator.ts';
import { runLoad, type ServerProcess, startServerProcess } from './gateway-load/server-process.ts';
import { median } from './measure.ts';
import { circumstances, inWords, short, table } from './report.ts';

// What the gateway streams, beside a bare Node loop in the same run: `npx tsx bench/gateway-load.ts`.
//
//   --rounds N     of both servers, one after the other (default 3); figures are medians
//   --seconds N    measured per round and server, after --warm-up seconds (default 5 and 2)
//   --streams N    concurrent streams (default 256)
//   --tokens N     tokens of an answer (default 1,000)
//   --minutes N    instead of all this: stream for so long and watch the server's memory
//   --cli FILE     another build of the command line (default: dist/src/cli/main.js)
//   --smoke        that it runs: one short round
//   --json         one JSON document instead of the tables
//
// Three processes: the load generator, the bare loop, and the server with its engine, Llama-3.1-8B on a simulated H100. The
// bars are printed beside the figures and fail nothing; answers that fail do.

const BARE_LOOP = fileURLToPath(new URL('./gateway-load/bare-loop.ts', import.meta.url));
/** Streamed tokens per second that the gateway is built for; latencies are taken at half of it. */
const TOKENS_PER_SECOND_BAR = 100_000;
const CHAT = '/v1/chat/completions';
const MESSAGES = [{ role: 'user', content: 'Say something about rivers.' }];
const SINGLE_CONNECTIONS = 64;

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    'warm-up': { type: 'string', default: '2' },
    streams: { type: 'string', default: '256' },
    tokens: { type: 'string', default: '1000' },
    minutes: { type: 'string', default: '0' },
    cli: { type: 'string', default: BUILT_CLI },
    smoke: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

interface Settings {
  readonly rounds: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly streams: number;
  readonly tokens: number;
}

const settings: Settings = flags.smoke
  ? { rounds: 1, durationMs: 500, warmUpMs: 500, streams: 32, tokens: 100 }
  : {
      rounds: positive('rounds'),
      durationMs: 1000 * positive('seconds'),
      warmUpMs: 1000 * positive('warm-up'),
      streams: positive('streams'),
      tokens: positive('tokens'),
    };

interface Figure {
  readonly name: string;
  /** Median of the rounds. */
  readonly value: number;
  /** Of the quietest round: what is left when nobody else has the processor. */
  readonly best: number;
  readonly bar: number;
  readonly verdict: 'ok' | 'missed';
}

interface Report {
  readonly figures: readonly Figure[];
  readonly runs: readonly { readonly name: string; readonly results: readonly LoadResult[] }[];
}

const where = circumstances();
const report = flags.minutes === '0' ? await speeds() : await memory(positive('minutes'));
if (flags.json) console.log(JSON.stringify({ ...where, ...settings, ...report }, null, 2));
else console.log(`${inWords(where)}\n${runsTable(report)}\n${figuresTable(report)}`);
const failures = report.runs.flatMap(({ name, results }) =>
  results
    .filter((result) => result.failures > 0)
    .map((result) => `${name}: ${result.failures} x ${result.firstFailure}`),
);
for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exitCode = 1;

function positive(name: 'rounds' | 'seconds' | 'warm-up' | 'streams' | 'tokens' | 'minutes'): number {
  const value = Number(flags[name]);
  if (Number.isFinite(value) && value > 0) return value;
  throw new RangeError(`--${name}: ${JSON.stringify(flags[name])}; a number above 0`);
}

async function speeds(): Promise<Report> {
  const full = await both('streams', startBare(), startGateway(0), () => streamLoad(false));
  const single = await both('one token, not streamed', startBare(), startGateway(0), singleLoad);
  const rate = TOKENS_PER_SECOND_BAR / 2;
  const paced = await both(
    'streams at half rate',
    startBare(Math.round((1e6 * settings.streams) / rate)),
    startGateway(await timeScaleFor(rate)),
    () => streamLoad(true),
  );
  const perRound = (of: (bare: LoadResult, gateway: LoadResult) => number, runs: Pair): number[] =>
    runs.bare.map((bare, i) => of(bare, runs.gateway[i]!));
  const figures = [
    least('streamed tokens/s', full.gateway.map(tokensPerSecond), TOKENS_PER_SECOND_BAR),
    least(
      'share of the bare loop, %',
      perRound((b, g) => (100 * tokensPerSecond(g)) / tokensPerSecond(b), full),
      60,
    ),
    most('CPU per token, gateway and engine, us', full.gateway.map(cpuUs), 8),
    most(
      'p99 above the bare loop at half rate, ms',
      perRound((b, g) => g.latencyP99Ms - b.latencyP99Ms, paced),
      2,
    ),
    least('completions of one token/s', single.gateway.map(answersPerSecond), 15_000),
  ];
  return {
    figures,
    runs: [full, single, paced].flatMap(({ name, bare, gateway }) => [
      { name: `${name}: bare loop`, results: bare },
      { name: `${name}: gateway`, results: gateway },
    ]),
  };
}

interface Pair {
  readonly name: string;
  readonly bare: readonly LoadResult[];
  readonly gateway: readonly LoadResult[];
}

/** Rounds of both servers, which stay up, one after the other, so that a slow moment of the machine meets both. */
async function both(
  name: string,
  bareStart: Promise<ServerProcess>,
  gatewayStart: Promise<ServerProcess>,
  load: () => Omit<Load, 'port' | 'pid'>,
): Promise<Pair> {
  const servers = await Promise.all([bareStart, gatewayStart]);
  const results: [LoadResult[], LoadResult[]] = [[], []];
  try {
    for (let round = 0; round < settings.rounds; round++) {
      for (const [i, server] of servers.entries()) {
        // The bare loop's only event beside its tokens is [DONE]; the gateway sends the role and the end as well.
        const extraEvents = i === 0 ? 1 : 3;
        const { clockOffsetNs, ...rest } = load();
        const offset = clockOffsetNs === null ? null : server.clockOffsetNs;
        results[i]!.push(
          await runLoad({ ...rest, extraEvents, clockOffsetNs: offset, port: server.port, pid: server.pid }),
        );
      }
    }
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
  return { name, bare: results[0], gateway: results[1] };
}

function streamLoad(stepTimes: boolean): Omit<Load, 'port' | 'pid'> {
  const { streams, tokens, warmUpMs, durationMs } = settings;
  return {
    path: CHAT,
    body: { messages: MESSAGES, max_tokens: tokens, ignore_eos: true, stream: true },
    headers: stepTimes ? { 'x-twinfer-step-times': '1' } : {},
    connections: streams,
    warmUpMs,
    durationMs,
    extraEvents: 3,
    clockOffsetNs: stepTimes ? 0 : null,
  };
}

function singleLoad(): Omit<Load, 'port' | 'pid'> {
  const body = { prompt: MESSAGES[0]!.content, max_tokens: 1 };
  return { ...streamLoad(false), path: '/v1/completions', body, connections: SINGLE_CONNECTIONS };
}

/** What a simulated second must last so that all streams together give `rate` tokens in a second; found in two steps. */
async function timeScaleFor(rate: number, guess = 0.6, steps = 2): Promise<number> {
  if (steps === 0) return guess;
  const server = await startGateway(guess);
  try {
    const load = { ...streamLoad(false), port: server.port, pid: server.pid };
    const result = await runLoad(load);
    const better = Number(((guess * tokensPerSecond(result)) / rate).toPrecision(3));
    return await timeScaleFor(rate, better, steps - 1);
  } finally {
    await server.stop();
  }
}

async function memory(minutes: number): Promise<Report> {
  const server = await startGateway(0);
  try {
    const durationMs = minutes * 60_000;
    const result = await runLoad({ ...streamLoad(false), durationMs, port: server.port, pid: server.pid });
    // The first tenth is the warm-up of heaps and compilers; then what the last fifth has more than the one before it.
    const { rssBytes } = result;
    const at = (share: number) => Math.floor(share * rssBytes.length);
    const early = median(rssBytes.slice(at(0.1), at(0.3)));
    const late = median(rssBytes.slice(at(0.8)));
    const figures = [most('growth of memory, %', [(100 * (late - early)) / early], 10)];
    return { figures, runs: [{ name: `streams for ${minutes} min: gateway`, results: [result] }] };
  } finally {
    await server.stop();
  }
}

function startBare(intervalUs = 0): Promise<ServerProcess> {
  return startServerProcess(BARE_LOOP, ['--interval-us', String(intervalUs)]);
}

function startGateway(timeScale: number): Promise<ServerProcess> {
  const limits = 'limits: {max_waiting: 4096, max_queue_wait: 60s}';
  return startGatewayProcess(flags.cli, [`time_scale: ${timeScale}`, 'step_times: true', limits]);
}

function tokensPerSecond(result: LoadResult): number {
  return result.tokens / result.seconds;
}

function answersPerSecond(result: LoadResult): number {
  return result.answers / result.seconds;
}

/** CPU of the server per token, or per answer where nothing is streamed, us. */
function cpuUs(result: LoadResult): number {
  return (1e6 * result.serverCpuSeconds) / (result.tokens > 0 ? result.tokens : result.answers);
}

function least(name: string, values: readonly number[], bar: number): Figure {
  const value = median(values);
  return { name, value, best: Math.max(...values), bar, verdict: value >= bar ? 'ok' : 'missed' };
}

function most(name: string, values: readonly number[], bar: number): Figure {
  const value = median(values);
  return { name, value, best: Math.min(...values), bar, verdict: value <= bar ? 'ok' : 'missed' };
}

function figuresTable(report: Report): string {
  const rows = report.figures.map(({ name, value, best, bar, verdict }) => [
    name,
    short(value),
    short(best),
    short(bar),
    verdict,
  ]);
  return table(['figure', 'value', 'best', 'bar', ''], rows);
}

function runsTable(report: Report): string {
  const columns: readonly (readonly [string, (result: LoadResult) => number])[] = [
    ['tokens/s', tokensPerSecond],
    ['answers/s', answersPerSecond],
    ['CPU us', cpuUs],
    ['CPU %', (r) => (100 * r.serverCpuSeconds) / r.seconds],
    ['first thread %', (r) => (100 * r.serverMainThreadCpuSeconds) / r.seconds],
    ['second %', (r) => (100 * r.serverSecondThreadCpuSeconds) / r.seconds],
    ['generator %', (r) => (100 * r.generatorCpuSeconds) / r.seconds],
    ['tokens/read', (r) => r.tokensPerRead],
    ['p50 ms', (r) => r.latencyP50Ms],
    ['p99 ms', (r) => r.latencyP99Ms],
    ['RSS MB', (r) => Math.max(0, ...r.rssBytes) / 1e6],
  ];
  const rows = report.runs.map(({ name, results }) => [
    name,
    ...columns.map(([, of]) => short(median(results.map(of)))),
  ]);
  return table(['medians of rounds', ...columns.map(([title]) => title)], rows);
}
