import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseDocument } from 'yaml';
import { BUILT_CLI, pause, startGateway, untilIdle } from './gateway-load/gateway-process.ts';
import { postJson, textOf } from './gateway-load/post-json.ts';
import { uniform } from './gateway-load/uniform.ts';
import { median } from './measure.ts';
import { circumstances, inWords, short, table } from './report.ts';

// Ten times more clients than the server can serve: `npx tsx bench/gateway-overload.ts`.
//
//   --seconds N     of overload (default 60)
//   --factor N      clients per second as a multiple of what the server completes (default 10)
//   --sequences N   that run at the same time (default 64)
//   --seed N        of the arrivals (default 1)
//   --cli FILE      another build of the command line (default: dist/src/cli/main.js)
//   --json          one JSON document
//
// First the server's own speed is measured with as many clients as it runs. Then clients arrive at random (Poisson); one that
// is refused with a Retry-After waits exactly so long, once. Served clients must see their first token within the longest
// queue that the server allows plus the target of the scenario (200 ms), tokens within 50 ms. Bars are printed and fail nothing.

const SCENARIO = fileURLToPath(new URL('../scenarios/llama-3.1-8b-h100.yaml', import.meta.url));
const OUTPUT_TOKENS = 100;
const QUEUE_WAIT_MAX_MS = 1000;
const RETRY_AFTER_MAX_MS = 30_000;
const TTFT_MS_MAX = QUEUE_WAIT_MAX_MS + 200;
const ITL_MS_MAX = 50;
const MEASURE_MS = 6000;
const PROBE_MS = 200;

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    factor: { type: 'string', default: '10' },
    sequences: { type: 'string', default: '64' },
    seed: { type: 'string', default: '1' },
    cli: { type: 'string', default: BUILT_CLI },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(flags.seconds);
const factor = Number(flags.factor);
const sequences = Number(flags.sequences);

/** One try of a client. */
interface Try {
  readonly status: number;
  /** null: no promise. */
  readonly retryAfterMs: number | null;
  readonly ttftMs: number;
  /** Mean time per token after the first. */
  readonly itlMs: number;
}

/** What the clients met. */
interface Counts {
  clients: number;
  firstTries: Try[];
  secondTries: Try[];
}

/** Clients that are not done when the overload ends; those that wait come back later. */
const pending: Promise<void>[] = [];
const folder = mkdtempSync(`${tmpdir()}/twinfer-bench-`);
const scenario = parseDocument(readFileSync(SCENARIO, 'utf8'));
scenario.setIn(['engine', 'max_num_seqs'], sequences);
writeFileSync(`${folder}/overload.yaml`, scenario.toString());
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
const server = await startGateway(flags.cli, [
  `scenario: ${folder}/overload.yaml`,
  `limits: {max_queue_wait: ${QUEUE_WAIT_MAX_MS}ms, max_retry_after: ${RETRY_AFTER_MAX_MS}ms, max_waiting: 4096}`,
]);
try {
  const perSecond = await speed();
  await untilIdle(server.url);
  const counts = await overload(factor * perSecond);
  const recoveryMs = await recovery();
  await Promise.all(pending);
  const page = await untilIdle(server.url);
  report(perSecond, counts, recoveryMs, page.kv_blocks_used);
} finally {
  agent.destroy();
  await server.stop();
  rmSync(folder, { recursive: true });
}

/** Requests per second with all places taken and nobody refused. */
async function speed(): Promise<number> {
  const endMs = performance.now() + MEASURE_MS;
  const startMs = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) if ((await attempt(`speed ${done}`, 0)).status === 200) done++;
  };
  await Promise.all(Array.from({ length: sequences }, worker));
  return (1000 * done) / (performance.now() - startMs);
}

async function overload(clientsPerSecond: number): Promise<Counts> {
  const counts: Counts = { clients: 0, firstTries: [], secondTries: [] };
  const draw = uniform(Number(flags.seed));
  const endMs = performance.now() + 1000 * seconds;
  let nextMs = performance.now();
  while (nextMs < endMs) {
    const waitMs = nextMs - performance.now();
    if (waitMs > 1) await pause(waitMs);
    while (nextMs <= performance.now() && nextMs < endMs) {
      pending.push(client(counts, counts.clients++));
      nextMs += (-1000 * Math.log(1 - draw())) / clientsPerSecond;
    }
    // Answers are read even when arrivals are late.
    await pause(0);
  }
  return counts;
}

async function client(counts: Counts, index: number): Promise<void> {
  const first = await attempt(`client ${index}`, 0);
  counts.firstTries.push(first);
  if (first.status === 200 || first.retryAfterMs === null) return;
  await pause(first.retryAfterMs);
  counts.secondTries.push(await attempt(`client ${index}`, 1));
}

/** Time until somebody new is served as if nothing had been, ms. */
async function recovery(): Promise<number> {
  const startMs = performance.now();
  for (let probe = 0; ; probe++) {
    const { status, ttftMs } = await attempt(`probe ${probe}`, 0);
    if (status === 200 && ttftMs <= TTFT_MS_MAX - QUEUE_WAIT_MAX_MS) return performance.now() - startMs;
    await pause(PROBE_MS);
  }
}

async function attempt(prompt: string, retry: number): Promise<Try> {
  const body = JSON.stringify({
    messages: [{ role: 'user', content: prompt }],
    max_tokens: OUTPUT_TOKENS,
    ignore_eos: true,
    stream: true,
  });
  const startMs = performance.now();
  // What the official clients send with a second try.
  const headers = { 'x-stainless-retry-count': String(retry) };
  try {
    const answer = await postJson('/v1/chat/completions', body, { port: server.port, key: null, agent, headers });
    if (answer.statusCode === 200) return await served(answer, startMs);
    await textOf(answer);
    const retryAfter = answer.headers['retry-after-ms'];
    return {
      status: answer.statusCode!,
      retryAfterMs: retryAfter === undefined ? null : Number(retryAfter),
      ttftMs: 0,
      itlMs: 0,
    };
  } catch {
    return { status: 0, retryAfterMs: null, ttftMs: 0, itlMs: 0 };
  }
}

async function served(answer: IncomingMessage, startMs: number): Promise<Try> {
  let firstMs = 0;
  let tail = '';
  for await (const part of answer) {
    if (firstMs === 0) firstMs = performance.now();
    tail = (tail + (part as Buffer).toString('latin1')).slice(-14);
  }
  const complete = tail === 'data: [DONE]\n\n';
  const itlMs = (performance.now() - firstMs) / (OUTPUT_TOKENS - 1);
  return { status: complete ? 200 : 0, retryAfterMs: null, ttftMs: firstMs - startMs, itlMs };
}

function report(perSecond: number, counts: Counts, recoveryMs: number, blocksUsed: number): void {
  const { firstTries, secondTries } = counts;
  const all = [...firstTries, ...secondTries];
  const good = all.filter(({ status }) => status === 200);
  const promised = firstTries.flatMap(({ status, retryAfterMs }) =>
    status === 200 || retryAfterMs === null ? [] : [retryAfterMs],
  );
  const admitted = secondTries.filter(({ status }) => status === 200).length;
  const strange = all.filter(({ status }) => ![200, 429, 503].includes(status)).length;
  const figures: readonly (readonly [string, number, number, boolean])[] = [
    ['first token of those served, p99, ms', ttftP99(good), TTFT_MS_MAX, false],
    ['time per token of those served, p99, ms', itlP99(good), ITL_MS_MAX, false],
    ['neither 200 nor 429 nor 503', strange, 0, false],
    ['admitted after one Retry-After, %', (100 * admitted) / Math.max(1, secondTries.length), 90, true],
    ['until a newcomer is served at once, ms', recoveryMs, Math.max(0, ...promised), false],
    ['KV blocks in use afterwards', blocksUsed, 0, false],
  ];
  const results = figures.map(([name, value, bar, least]) => ({
    name,
    value,
    bar,
    verdict: (least ? value >= bar : value <= bar) ? 'ok' : 'missed',
  }));
  const context = {
    perSecond,
    clients: counts.clients,
    served: good.length,
    servedPerSecondOfOverload: firstTries.filter(({ status }) => status === 200).length / seconds,
    status429: firstTries.filter(({ status }) => status === 429).length,
    status503: firstTries.filter(({ status }) => status === 503).length,
    retryAfterMsMedian: promised.length === 0 ? 0 : median(promised),
    secondTries: secondTries.length,
    admittedOnSecondTry: admitted,
    ttftMsP99OfFirstTries: ttftP99(firstTries),
    ttftMsP99OfSecondTries: ttftP99(secondTries),
  };
  if (flags.json)
    console.log(JSON.stringify({ ...circumstances(), seconds, factor, sequences, ...context, results }, null, 2));
  else {
    console.log(inWords(circumstances()));
    for (const [name, value] of Object.entries(context)) console.log(`${name}: ${short(value)}`);
    console.log(
      table(
        ['figure', 'value', 'bar', ''],
        results.map(({ name, value, bar, verdict }) => [name, short(value), short(bar), verdict]),
      ),
    );
  }
}

function itlP99(served: readonly Try[]): number {
  const times = served.map(({ itlMs }) => itlMs);
  return quantile(times, 0.99);
}

function ttftP99(tries: readonly Try[]): number {
  return quantile(
    tries.filter(({ status }) => status === 200).map(({ ttftMs }) => ttftMs),
    0.99,
  );
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
