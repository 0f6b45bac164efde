import { parseArgs } from 'node:util';
import { BUILT_CLI, keyEntry, pause, startGateway, untilIdle } from './gateway-load/gateway-process.ts';
import { processUsage } from './gateway-load/process-usage.ts';
import { type SoakResult, serverCounts, soak } from './gateway-load/soak.ts';
import { circumstances, inWords } from './report.ts';

// What is left of a server after clients that abort, hang up, read slowly and send rubbish: `npx tsx bench/gateway-soak.ts`.
//
//   --requests N      (default 100,000)
//   --concurrency N   (default 64)
//   --seed N          (default 1)
//   --hostile N       every N-th request is hostile, under a key of its own (default 0: none is)
//   --cli FILE        another build of the command line (default: dist/src/cli/main.js)
//   --json            one JSON document
//
// Fails when a request did not end once, blocks are in use afterwards, or resident memory is more than 10 % above what it was
// after a tenth as many before.

const { values: flags } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    concurrency: { type: 'string', default: '64' },
    seed: { type: 'string', default: '1' },
    hostile: { type: 'string', default: '0' },
    cli: { type: 'string', default: BUILT_CLI },
    json: { type: 'boolean', default: false },
  },
});
const requests = Number(flags.requests);
const concurrency = Number(flags.concurrency);
const seed = Number(flags.seed);
/** Heaps and compilers have settled after so many. */
const WARM_UP_MIN = 5000;
const RSS_GROWTH_MAX = 0.1;
/** How long memory is watched after a collection, since its pages are handed back by and by. */
const SETTLE_MS = 5000;

const hostile = Number(flags.hostile);
const keys = [
  { name: 'client', key: 'client-key' },
  { name: 'attacker', key: 'attacker-key' },
];
const server = await startGateway(flags.cli, [
  'time_scale: 0',
  'limits: {stream_buffer: 64KiB, max_waiting: 4096, max_queue_wait: 60s}',
  ...(hostile === 0 ? [] : [`auth: ${JSON.stringify({ keys: keys.map(keyEntry) })}`]),
]);
try {
  const target =
    hostile === 0
      ? { port: server.port, key: null }
      : { port: server.port, key: keys[0]!.key, attacker: { key: keys[1]!.key, every: hostile } };
  const startMs = performance.now();
  const warmUp = await soak(target, {
    requests: Math.max(WARM_UP_MIN, Math.ceil(requests / 10)),
    concurrency,
    seed: seed + 1,
    progress,
  });
  await untilIdle(server.url, target.key);
  const rssBefore = await heldRss();
  const result = await soak(target, { requests, concurrency, seed, progress });
  const page = await untilIdle(server.url, target.key);
  const rssUncollected = processUsage(server.pid).rssBytes;
  const rssAfter = await heldRss();
  const { received, outcomes } = serverCounts(await (await fetch(`${server.url}/metrics`)).text());
  const checks = {
    'nothing was broken': result.endings.broken + warmUp.endings.broken === 0,
    'every client saw one end': sum(result.endings) === requests,
    'every request that the server took ended once': sum(outcomes) === received,
    'no answer was lost': completed(outcomes, [warmUp, result]),
    'no client was refused for an overload':
      hostile === 0 || warmUp.endings.overloaded + result.endings.overloaded === 0,
    'no server errors': outcomes['server_error'] === 0,
    'no blocks are in use': page.kv_blocks_used === 0,
    'the engine was not started again': page.engine_restarts === 0,
    'memory is back within 10 %': rssAfter <= rssBefore * (1 + RSS_GROWTH_MAX),
  };
  const seconds = Math.round((performance.now() - startMs) / 1000);
  const figures = {
    requests,
    concurrency,
    seed,
    seconds,
    rssBefore,
    rssUncollected,
    rssAfter,
    ...result,
    received,
    outcomes,
    checks,
  };
  if (flags.json) console.log(JSON.stringify({ ...circumstances(), ...figures }, null, 2));
  else print(figures);
  if (Object.values(checks).includes(false)) process.exitCode = 1;
} finally {
  await server.stop();
}

function progress(done: number): void {
  if (done % 10_000 === 0) console.error(`${done} requests`);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Those that hung up may have been answered before the server heard of it. */
function completed(outcomes: Readonly<Record<string, number>>, results: readonly SoakResult[]): boolean {
  const success = outcomes['success']!;
  const least = results.reduce((total, { endings }) => total + endings.completed, 0);
  const most = results.reduce(
    (total, { endings }) => total + endings.completed + endings['hung up'] + endings['cut off'] + endings.attacked,
    0,
  );
  return success >= least && success <= most;
}

/**
 * Resident memory that the server holds: at its least after the gateway's garbage is collected, bytes. At rest V8 leaves it
 * lying, which would say when the last collection was and nothing of leaks.
 */
async function heldRss(): Promise<number> {
  process.kill(server.pid, 'SIGUSR2');
  const endMs = performance.now() + SETTLE_MS;
  let least = Number.POSITIVE_INFINITY;
  while (performance.now() < endMs) {
    await pause(250);
    least = Math.min(least, processUsage(server.pid).rssBytes);
  }
  return least;
}

function print(
  figures: SoakResult & {
    seconds: number;
    rssBefore: number;
    rssUncollected: number;
    rssAfter: number;
    received: number;
    outcomes: object;
    checks: object;
  },
): void {
  console.log(inWords(circumstances()));
  console.log(`${requests} requests, ${concurrency} at a time, seed ${seed}: ${figures.seconds} s`);
  console.log(`clients: ${JSON.stringify(figures.endings)} of ${JSON.stringify(figures.manners)}`);
  console.log(`server: received ${figures.received}, ${JSON.stringify(figures.outcomes)}`);
  console.log(
    `memory: ${mb(figures.rssBefore)} before, ${mb(figures.rssAfter)} at the end (${mb(figures.rssUncollected)} with garbage)`,
  );
  for (const line of figures.broken) console.log(line);
  for (const [check, holds] of Object.entries(figures.checks)) console.log(`${holds ? 'ok    ' : 'FAILED'} ${check}`);
}

function mb(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
