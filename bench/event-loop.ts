import { parseArgs } from 'node:util';
import { generatedRequest, HOSTILE, SERVED } from './gateway-load/costly-requests.ts';
import { BUILT_CLI } from './gateway-load/gateway-process.ts';
import { type Asked, ProbedServer, TURN_MAX_MS } from './gateway-load/probed-server.ts';
import { circumstances, inWords, table } from './report.ts';

// How long one request can keep a server's event loop from all others: `npx tsx bench/event-loop.ts`.
//
//   --generated N     requests drawn from the seed after the named ones (default 0)
//   --seed N          (default 1)
//   --cli FILE        another build of the command line (default: dist/src/cli/main.js)
//   --model-folder D  tokenizer of the server (default: the built-in one)
//   --json            one JSON document instead of the table
//
// The figure is CPU time of the main thread between two turns of its event loop (schedstat), so that other work on the machine does
// not count. The exit code is 1 where a turn took more than 50 ms or an answer has another status than it must have.

const { values: flags } = parseArgs({
  options: {
    generated: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    cli: { type: 'string', default: BUILT_CLI },
    'model-folder': { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const folder = flags['model-folder'];
const server = await ProbedServer.start(flags.cli, folder === undefined ? [] : [`model_folder: ${folder}`]);
const rows: (Asked & { readonly name: string; readonly wanted: number | null })[] = [];
let generatedWorst: (typeof rows)[number] | null = null;
let good = true;
try {
  for (let index = 0; index < 300; index++) await server.ask(generatedRequest(0, index));
  for (const request of [...HOSTILE, ...SERVED]) {
    const row = { name: request.name, wanted: request.status, ...(await server.ask(request)) };
    console.error(`${row.name}: ${row.status}, ${row.worstMs.toFixed(1)} ms`);
    good &&= row.worstMs <= TURN_MAX_MS && (row.wanted === null || row.wanted === row.status);
    rows.push(row);
  }
  for (let index = 0; index < Number(flags.generated); index++) {
    const request = generatedRequest(Number(flags.seed), index);
    const row = { name: request.name, wanted: null, ...(await server.ask(request)) };
    good &&= row.worstMs <= TURN_MAX_MS;
    if (generatedWorst === null || row.worstMs > generatedWorst.worstMs) generatedWorst = row;
    if (row.worstMs > TURN_MAX_MS) console.error(`${row.name}: ${row.status}, ${row.worstMs.toFixed(1)} ms`);
  }
} finally {
  await server.stop();
}
if (generatedWorst !== null)
  rows.push({ ...generatedWorst, name: `worst of ${flags.generated}: ${generatedWorst.name}` });
if (flags.json) console.log(JSON.stringify({ ...circumstances(), rows }, null, 2));
else {
  console.log(inWords(circumstances()));
  const cells = rows.map((row) => [
    row.name,
    String(row.status),
    row.worstMs.toFixed(1),
    (row.rssBytes / 1e6).toFixed(0),
    (row.bytes / 1e6).toFixed(1),
  ]);
  console.log(table(['request', 'status', 'longest turn, ms', 'memory, MB', 'answer, MB'], cells));
}
if (!good) process.exitCode = 1;
