import { execFileSync, spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { bodyOf, type CompletionBody, ENDLESS_TOKENS, EventStream } from '../support/http-calls.ts';
import { type ServedProcess, serveProcess } from '../support/served-process.ts';

// A server that has no file descriptors left: util-linux' prlimit gives it few, and takes the last ones away.

/** Node's own start opens some 200 files at once. */
const FILES = 400;
const HAS_PRLIMIT = spawnSync('prlimit', ['--version']).error === undefined;

let server: ServedProcess | null = null;
let sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  server?.kill('SIGKILL');
  await server?.exit;
  server = null;
});

function complete(body: object): Promise<Response> {
  return fetch(`${server!.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Rivers', ignore_eos: true, ...body }),
  });
}

async function health(): Promise<number> {
  return (await fetch(`${server!.url}/health/live`, { headers: { connection: 'close' } })).status;
}

/** Connections that send nothing; resolves when each is open or refused. */
function flood(count: number): Promise<unknown> {
  const opened = Array.from({ length: count }, () => {
    const socket = connect(server!.port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {});
    return new Promise<void>((resolve) => {
      socket.once('connect', resolve);
      socket.once('close', () => resolve());
    });
  });
  return Promise.all(opened);
}

function limitFiles(files: number): void {
  execFileSync('prlimit', ['--pid', String(server!.pid), `--nofile=${files}:${FILES}`]);
}

it.skipIf(!HAS_PRLIMIT)(
  'a server without file descriptors goes on with what it has, and serves again when there are some',
  async () => {
    server = await serveProcess('', ['prlimit', `--nofile=${FILES}:${FILES}`]);
    const lowered = JSON.parse(server.log().split('\n', 1)[0]!) as Record<string, number>;
    expect(lowered).toMatchObject({ open_files_limit: FILES, max_connections: 4096 });
    expect(lowered['connections']).toBe(FILES - lowered['files_reserved']!);
    const stream = new EventStream(await complete({ max_tokens: ENDLESS_TOKENS, stream: true }));
    const more = async () => {
      // At about 100 tokens a second some samplers run meanwhile.
      for (let i = 0; i < 250; i++) expect(await stream.next()).not.toBeNull();
    };
    await more();

    await flood(2 * FILES);
    expect(await health()).toBe(200);
    await more();

    // Whatever opens a file or takes a connection fails now.
    limitFiles(10);
    await flood(50);
    await more();

    limitFiles(FILES);
    for (const socket of sockets) socket.destroy();
    expect(await health()).toBe(200);
    expect((await bodyOf<CompletionBody>(complete({ max_tokens: 5 }))).usage!.completion_tokens).toBe(5);
    await more();
    await stream.cancel();
    server.kill('SIGTERM');
    expect(await server.exit).toEqual({ code: 0, signal: null });
  },
);
