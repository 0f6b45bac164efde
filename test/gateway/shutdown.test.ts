import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  bodyOf,
  type CompletionBody,
  type ErrorBody,
  EventStream,
  streamedText,
  until,
} from '../support/http-calls.ts';
import { REPOSITORY_ROOT } from '../support/repository-files.ts';

// `twinfer serve` as a process of its own, ended by signals as an orchestrator ends it.

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-shutdown-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let child: ChildProcess | null = null;
afterEach(() => {
  child?.kill('SIGKILL');
  child = null;
});

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface ServerProcess {
  readonly url: string;
  readonly exit: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
}

async function serve(drainTimeout: string): Promise<ServerProcess> {
  const config = join(folder, 'serve.yaml');
  writeFileSync(config, `port: 0\nlimits: {drain_timeout: ${drainTimeout}}\nserved_model_names: [twin]\n`);
  const main = join(REPOSITORY_ROOT, 'src/cli/main.ts');
  const started = spawn(process.execPath, ['--import', 'tsx', main, 'serve', config], {
    cwd: REPOSITORY_ROOT,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child = started;
  let output = '';
  started.stdout.on('data', (part: Buffer) => {
    output += part.toString();
  });
  const exit = new Promise<Exit>((resolve) => started.once('exit', (code, signal) => resolve({ code, signal })));
  await until(
    () => output,
    (text) => /curl .*\n/.test(text),
  );
  const url = /url +(http:\S+)\/v1\n/.exec(output)![1]!;
  return { url, exit, kill: (signal) => started.kill(signal) };
}

function complete(server: ServerProcess, body: object): Promise<Response> {
  return fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'twin', prompt: 'Rivers', seed: 3, ignore_eos: true, ...body }),
  });
}

async function begun(server: ServerProcess, tokens: number): Promise<{ stream: EventStream; first: string }> {
  const stream = new EventStream(await complete(server, { max_tokens: tokens, stream: true }));
  return { stream, first: (await stream.next())! };
}

function draining(server: ServerProcess): Promise<unknown> {
  return until(
    () => fetch(`${server.url}/health`).then((response) => response.status),
    (status) => status === 503,
  );
}

describe('SIGTERM', () => {
  it('lets running answers end, whole and streamed, refuses new ones, and exits with 0', async () => {
    const server = await serve('60s');
    const { stream, first } = await begun(server, 400);
    const whole = complete(server, { max_tokens: 400 });
    await until(
      () => fetch(`${server.url}/load`).then((response) => response.json() as Promise<{ running_sequences: number }>),
      (page) => page.running_sequences === 2,
    );
    server.kill('SIGTERM');
    await draining(server);
    const { error } = await bodyOf<ErrorBody>(complete(server, { max_tokens: 1 }), 503);
    expect(error).toMatchObject({ type: 'overloaded_error', code: 'draining' });
    const body = await bodyOf<CompletionBody>(whole);
    expect(body.usage!.completion_tokens).toBe(400);
    const events = [first, ...(await stream.rest())];
    expect(events.length).toBe(402);
    expect(streamedText(events)).toBe(body.choices[0]!.text);
    expect(await server.exit).toEqual({ code: 0, signal: null });
  });

  it('cuts what runs longer than the drain time: an error event, [DONE], and exit 0', async () => {
    const server = await serve('300ms');
    const { stream } = await begun(server, 100_000);
    const whole = complete(server, { max_tokens: 100_000 });
    server.kill('SIGTERM');
    const events = await stream.rest();
    expect(events.at(-1)).toBe('[DONE]');
    expect((JSON.parse(events.at(-2)!) as ErrorBody).error.code).toBe('engine_failed');
    expect((await whole).status).toBeGreaterThanOrEqual(500);
    expect(await server.exit).toEqual({ code: 0, signal: null });
  });

  it('of an idle server with open connections: exit 0', async () => {
    const server = await serve('60s');
    await bodyOf<CompletionBody>(complete(server, { max_tokens: 1 }));
    server.kill('SIGTERM');
    expect(await server.exit).toEqual({ code: 0, signal: null });
  });
});

it('a second signal ends the process at once', async () => {
  const server = await serve('600s');
  const { stream } = await begun(server, 100_000);
  server.kill('SIGINT');
  await draining(server);
  server.kill('SIGINT');
  expect(await server.exit).toEqual({ code: null, signal: 'SIGINT' });
  await expect(stream.rest()).rejects.toThrow();
});
