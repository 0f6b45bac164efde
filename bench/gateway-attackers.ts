import { Agent } from 'node:http';
import { parseArgs } from 'node:util';
import { generatedRequest, HOSTILE } from './gateway-load/costly-requests.ts';
import { BUILT_CLI, keyEntry, startGateway, untilIdle } from './gateway-load/gateway-process.ts';
import { postJson } from './gateway-load/post-json.ts';
import { median } from './measure.ts';
import { circumstances, inWords } from './report.ts';

// What attackers cost their neighbours: `npx tsx bench/gateway-attackers.ts`.
//
//   --runs N         pairs of runs, without and with attackers by turns (default 7)
//   --requests N     streams of the normal tenants in a run (default 5,000)
//   --concurrency N  of them at the same time (default 32)
//   --attackers N    who send one costly request after the other, under a key of their own (default 4)
//   --cli FILE       another build of the command line (default: dist/src/cli/main.js)
//
// Prints the p99 of the normal tenants' time to first token, as their sockets see it, and the median of the ratios.

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    requests: { type: 'string', default: '5000' },
    concurrency: { type: 'string', default: '32' },
    attackers: { type: 'string', default: '4' },
    cli: { type: 'string', default: BUILT_CLI },
  },
});
const runs = Number(flags.runs);
const requests = Number(flags.requests);
const CLIENT = { name: 'client', key: 'client-key' };
const ATTACKER = { name: 'attacker', key: 'attacker-key' };
const BODY = JSON.stringify({
  messages: [{ role: 'user', content: 'Say something about rivers.' }],
  max_tokens: 16,
  ignore_eos: true,
  stream: true,
});

const server = await startGateway(flags.cli, [
  'time_scale: 0.01',
  'limits: {max_waiting: 4096, max_queue_wait: 60s}',
  `auth: ${JSON.stringify({ keys: [CLIENT, ATTACKER].map(keyEntry) })}`,
]);
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
const ratios: number[] = [];
let attacks = 0;
try {
  await tenants();
  for (let run = 0; run < runs; run++) {
    const quiet = await tenants();
    const attacked = await underAttack();
    ratios.push(attacked / quiet);
    console.error(`${run + 1} of ${runs}: p99 ${quiet.toFixed(1)} ms, under attack ${attacked.toFixed(1)} ms`);
    await untilIdle(server.url, CLIENT.key);
  }
} finally {
  agent.destroy();
  await server.stop();
}
console.log(inWords(circumstances()));
console.log(
  `p99 of the first token under attack, as a multiple of that without: median ${median(ratios).toFixed(2)} of ${runs} pairs ` +
    `(${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}); ${attacks} hostile requests`,
);

/** All streams of a run; the 99th percentile of their time to first token, ms. Throws for a stream that is refused. */
async function tenants(): Promise<number> {
  const times: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next++ < requests) {
      const fromMs = performance.now();
      const answer = await postJson('/v1/chat/completions', BODY, { port: server.port, key: CLIENT.key, agent });
      if (answer.statusCode !== 200) throw new Error(`a normal tenant got ${answer.statusCode}`);
      let first = true;
      for await (const _ of answer) {
        if (first) times.push(performance.now() - fromMs);
        first = false;
      }
    }
  };
  await Promise.all(Array.from({ length: Number(flags.concurrency) }, worker));
  return times.sort((a, b) => a - b)[Math.ceil(0.99 * times.length) - 1]!;
}

async function underAttack(): Promise<number> {
  let going = true;
  const attacker = async (): Promise<void> => {
    while (going) {
      const index = attacks++;
      const costly = index % 4 === 0 ? HOSTILE[(index / 4) % HOSTILE.length]! : generatedRequest(1, index);
      try {
        const answer = await postJson(costly.path, costly.body(), { port: server.port, key: ATTACKER.key, agent });
        for await (const _ of answer);
      } catch {
        // A body above the limit is refused before all of it is read, and the connection closed.
      }
    }
  };
  const attackers = Array.from({ length: Number(flags.attackers) }, attacker);
  const p99 = await tenants();
  going = false;
  await Promise.all(attackers);
  return p99;
}
