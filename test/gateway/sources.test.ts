import { afterEach, describe, expect, it } from 'vitest';
import { connectTo, type ExactAnswer, sendExactly } from '../support/http-calls.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';
import { checkSources, SERVERS, startSourceServer } from './sources.ts';

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function start(overrides: TestServerOverrides): Promise<TestServer> {
  server = await startTestServer(overrides);
  return server;
}

type Headers = Readonly<Record<string, string>>;

function ask(method: string, path: string, headers: Headers = {}): Promise<ExactAnswer> {
  return sendExactly(server!, { method, path, headers });
}

function codeOf({ text }: ExactAnswer): string {
  return (JSON.parse(text) as { error: { code: string } }).error.code;
}

describe('requests of foreign pages, and under foreign names, are refused; all others are not', () => {
  it.each(SERVERS.map((kind) => [kind.name, kind] as const))('%s', async (_name, kind) => {
    const target = await startSourceServer(kind);
    server = target.server;
    await checkSources(target, 400);
  });
});

describe('a server without keys on a loopback address', () => {
  it('is not drained by a web page', async () => {
    await start({ keys: null });
    for (const path of ['/admin/drain', '/%61dmin/drain', '/admin/%64rain']) {
      const answer = await ask('POST', path, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' });
      expect([answer.status, codeOf(answer)]).toEqual([403, 'foreign_origin']);
      expect(codeOf(await ask('POST', path))).toBe('forbidden');
    }
    expect((await ask('GET', '/health')).status).toBe(200);
  });

  it('shows a browser its dashboard: typed, by a link, and the stream that the page opens', async () => {
    const { port } = await start({ keys: null });
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]) {
      const typed = { host, 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
      expect((await ask('GET', '/dashboard', typed)).status).toBe(200);
      expect((await ask('GET', '/dashboard', { ...typed, 'sec-fetch-site': 'cross-site' })).status).toBe(200);
      const own = { host, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' };
      const stream = await fetch(`http://127.0.0.1:${port}/dashboard/stream`, { headers: own });
      expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
      await stream.body!.cancel();
    }
    const image = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' };
    expect((await ask('GET', '/dashboard/stream', image)).status).toBe(403);
  });

  it('answers probes by address, also without Host in HTTP/1.0, and takes one Host in HTTP/1.1', async () => {
    await start({ keys: null });
    for (const path of ['/health', '/health/live', '/metrics']) {
      expect((await ask('GET', path)).status).toBe(200);
      expect((await ask('GET', path, { origin: 'https://evil.example' })).status).toBe(200);
      expect(await rawStatus(`GET ${path} HTTP/1.0\r\n\r\n`)).toBe(200);
      expect(await rawStatus(`GET ${path} HTTP/1.1\r\nconnection: close\r\n\r\n`)).toBe(400);
      expect(await rawStatus(`GET ${path} HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n`)).toBe(403);
      const twice = 'host: localhost\r\nhost: localhost\r\nconnection: close\r\n';
      expect(await rawStatus(`GET ${path} HTTP/1.1\r\n${twice}\r\n`)).toBe(400);
      for (const [target, status] of [
        ['http://localhost', 200],
        ['http://LOCALHOST', 200],
        ['http://evil.example', 400],
      ] as const) {
        const bytes = `GET ${target}${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`;
        expect(await rawStatus(bytes), target).toBe(status);
      }
    }
  });

  it('shows /debug to programs of the same machine, and takes no orders', async () => {
    await start({ keys: null });
    for (const [method, path] of [
      ['GET', '/debug/state'],
      ['GET', '/debug/alerts'],
      ['GET', '/debug/leaks'],
      ['GET', '/debug/flight_recorder'],
      ['GET', '/debug/slow_steps'],
      ['GET', '/debug/blocks/0'],
      ['POST', '/debug/audit'],
      ['POST', '/debug/trace?seconds=0.001'],
    ] as const) {
      expect((await ask(method, path)).status, path).toBe(200);
      expect(codeOf(await ask(method, path, { origin: 'null' })), path).toBe('foreign_origin');
      for (const proxy of [{ 'x-forwarded-for': '192.0.2.1' }, { forwarded: 'for=192.0.2.1' }, { via: '1.1 proxy' }])
        expect(codeOf(await ask(method, path, proxy)), path).toBe('forbidden');
    }
    for (const path of ['/admin/drain', '/admin/check', '/admin/abort', '/admin/faults', '/debug/profile/start'])
      expect(codeOf(await ask('POST', path)), path).toBe('forbidden');
  });
});

it('/debug wants an admin key where the server has any key, or listens on more than loopback', async () => {
  const keyed = await start({});
  expect((await ask('GET', '/debug/state')).status).toBe(401);
  expect((await ask('GET', '/debug/state', { authorization: `Bearer ${keyed.key}` })).status).toBe(403);
  await keyed.close();
  await start({ keys: null, host: '0.0.0.0' });
  expect(codeOf(await ask('GET', '/debug/state'))).toBe('forbidden');
});

async function rawStatus(bytes: string): Promise<number> {
  const connection = await connectTo(server!);
  connection.socket.write(bytes);
  await connection.closed;
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(connection.received())?.[1]);
}
