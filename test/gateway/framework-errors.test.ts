import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { connectTo, type ErrorBody, requestBytes, sendExactly, until } from '../support/http-calls.ts';
import { watchRoutes } from '../support/registered-routes.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

/** Status and error of each answer in what a connection received. */
function answersIn(text: string): readonly { readonly status: number; readonly code: string | null }[] {
  return text.split(/(?=HTTP\/1\.1 \d)/).map((answer) => {
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
    const status = Number(answer.slice('HTTP/1.1 '.length).slice(0, 3));
    return { status, code: (JSON.parse(body) as Partial<ErrorBody>).error?.code ?? null };
  });
}

describe('what is refused before a route is reached has the shape of all errors', () => {
  it('a request that follows another on its connection while the server goes down: 503 draining', async () => {
    let app: FastifyInstance;
    const watched = await watchRoutes(startTestServer, (made) => {
      app = made;
    });
    server = watched.started;
    const { socket, received, closed } = await connectTo(server);
    const [first, second] = [requestBytes(server, '/tokenize', { prompt: 'a' }), requestBytes(server, '/load', null)];
    // The body of the first is not there yet, so that its connection stays open.
    socket.write(first.slice(0, -5));
    const wellBefore = await sendExactly(server, { method: 'GET', path: '/health/live' });
    expect(wellBefore.status).toBe(200);
    const down = app!.close();
    await until(
      () =>
        connectTo(server!).then(
          () => false,
          () => true,
        ),
      (refused) => refused,
    );
    socket.write(first.slice(-5) + second);
    await closed;
    await down;
    expect(answersIn(received())).toEqual([
      { status: 200, code: null },
      { status: 503, code: 'draining' },
    ]);
  });

  it('a method that the path does not have: 405 with those that it has, however it is written', async () => {
    server = await startTestServer();
    const headers = { authorization: `Bearer ${server.key}` };
    for (const [method, path, methods] of [
      ['DELETE', '/v1/models', 'GET, HEAD'],
      ['GET', '/generate', 'POST'],
      ['GET', '/%67enerate?a=1', 'POST'],
      ['PUT', '/v1/models/a/b', 'GET, HEAD'],
      ['POST', '/debug/requests/x', 'GET, HEAD'],
      ['HEAD', '/dashboard/stream', 'GET'],
      ['TRACE', '/load', 'GET, HEAD'],
    ] as const) {
      const answer = await sendExactly(server, { method, path, headers });
      expect([answer.status, answer.headers['allow']], `${method} ${path}`).toEqual([405, methods]);
    }
  });

  it('what is no request for a route: one answer, and the connection is closed', async () => {
    server = await startTestServer();
    for (const [what, bytes, status] of [
      ['an expectation that is not known', 'GET /load HTTP/1.1\r\nhost: localhost\r\nexpect: tea\r\n\r\n', 417],
      ['a tunnel', 'CONNECT localhost:80 HTTP/1.1\r\nhost: localhost:80\r\n\r\n', 405],
      ['no host', 'GET /load HTTP/1.1\r\n\r\n', 400],
      ['a path that is no UTF-8', 'GET /%ff HTTP/1.1\r\nhost: localhost\r\n\r\n', 400],
      ['a header too large', `GET /load HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
      ['no HTTP', 'hello\r\n\r\n', 400],
    ] as const) {
      const { socket, received, closed } = await connectTo(server);
      socket.write(bytes);
      await closed;
      expect(answersIn(received()), what).toEqual([{ status, code: expect.any(String) as string }]);
    }
  });
});
