import { parseArgs } from 'node:util';
import { BUILT_CLI, loadPage, pause, startGateway } from './gateway-load/gateway-process.ts';
import { runLoad } from './gateway-load/server-process.ts';
import { circumstances, inWords, short, table } from './report.ts';

// How exactly a simulated device keeps the wall's time: `npx tsx bench/gateway-pacing.ts`.
//
//   --seconds N    of the run (default 60)
//   --running N    sequences at the same time (default 128)
//   --cli FILE     another build of the command line (default: dist/src/cli/main.js)
//   --json         one JSON document
//
// The engine notes for each step how far from its planned end on the wall clock it ended (/load: pace_error_p99_ms,
// pace_error_last_ms); the last error is read a few times at the end of the run, since one reading may meet any step.

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    running: { type: 'string', default: '128' },
    cli: { type: 'string', default: BUILT_CLI },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(flags.seconds);
const running = Number(flags.running);
const P99_MS_MAX = 0.5;
const LAST_READINGS = 21;
const WARM_UP_MS = 1000;

const server = await startGateway(flags.cli, ['time_scale: 1']);
try {
  const load = runLoad({
    port: server.port,
    pid: server.pid,
    path: '/v1/chat/completions',
    body: {
      messages: [{ role: 'user', content: 'Say something about rivers.' }],
      max_tokens: 2000,
      ignore_eos: true,
      stream: true,
    },
    headers: {},
    connections: running,
    warmUpMs: WARM_UP_MS,
    durationMs: 1000 * seconds,
    extraEvents: 3,
    clockOffsetNs: null,
  });
  await pause(1000 * seconds);
  const last: number[] = [];
  let page = await loadPage(server.url);
  for (let reading = 0; reading < LAST_READINGS; reading++) {
    last.push(page.pace_error_last_ms);
    await pause(25);
    page = await loadPage(server.url);
  }
  const { running_sequences, steps, pace_error_p99_ms } = page;
  const result = await load;
  const lastMs = last.sort((a, b) => a - b)[LAST_READINGS >> 1]!;
  const figures = [
    { name: "error of a step's end, p99, ms", value: pace_error_p99_ms, bar: P99_MS_MAX },
    { name: 'error of the last steps, median, ms', value: lastMs, bar: pace_error_p99_ms },
  ].map((figure) => ({ ...figure, verdict: figure.value <= figure.bar ? 'ok' : 'missed' }));
  const context = { seconds, running: running_sequences, steps, tokensPerSecond: result.tokens / result.seconds };
  if (flags.json) console.log(JSON.stringify({ ...circumstances(), ...context, figures }, null, 2));
  else {
    console.log(inWords(circumstances()));
    console.log(
      Object.entries(context)
        .map(([name, value]) => `${name} ${short(value)}`)
        .join(', '),
    );
    console.log(
      table(
        ['figure', 'value', 'bar', ''],
        figures.map((f) => [f.name, short(f.value), short(f.bar), f.verdict]),
      ),
    );
  }
} finally {
  await server.stop();
}
