import { afterEach, describe, expect, it } from 'vitest';
import {
  bodyOf,
  type CompletionBody,
  type ErrorBody,
  EventStream,
  streamedText,
  until,
} from '../support/http-calls.ts';
import { type ServedProcess, serveProcess } from '../support/served-process.ts';

// `twinfer serve` as a process of its own, ended by signals as an orchestrator ends it.

let server: ServedProcess | null = null;
afterEach(async () => {
  server?.kill('SIGKILL');
  await server?.exit;
  server = null;
});

async function serve(drainTimeout: string): Promise<ServedProcess> {
  server = await serveProcess(`limits: {drain_timeout: ${drainTimeout}}`);
  return server;
}

function complete(server: ServedProcess, body: object): Promise<Response> {
  return fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'twin', prompt: 'Rivers', seed: 3, ignore_eos: true, ...body }),
  });
}

async function begun(server: ServedProcess, tokens: number): Promise<{ stream: EventStream; first: string }> {
  const stream = new EventStream(await complete(server, { max_tokens: tokens, stream: true }));
  return { stream, first: (await stream.next())! };
}

function draining(server: ServedProcess): Promise<unknown> {
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
