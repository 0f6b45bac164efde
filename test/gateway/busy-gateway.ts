import { connect, type Socket } from 'node:net';
import { expect } from 'vitest';
import { metricsOf, requestBytes, until } from '../support/http-calls.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';

/** Steps that the engine may do while a question is answered: without slices it does thousands. */
const STEPS_MAX = 500;

/** A gateway whose engine is faster: there is always more to write than it can. */
export interface BusyGateway {
  readonly server: TestServer;
  /** Asks something; throws when the streams have got more than `STEPS_MAX` tokens each before the answer. */
  answers(question: () => Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

/** `reads`: whether the clients of the streams read them. */
export async function busyGateway(streams: number, body: object, reads: boolean): Promise<BusyGateway> {
  const server = await startTestServer({ timeScale: 0 });
  const call = { prompt: 'Rivers', max_tokens: 8000, ignore_eos: true, stream: true, ...body };
  const sockets = Array.from({ length: streams }, (): Socket => {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    if (reads) socket.resume();
    socket.write(requestBytes(server, '/v1/completions', call));
    return socket;
  });
  const tokens = async () => (await metricsOf(server)).get('gateway_tokens_total')!;
  await until(
    () => server.serving.link.live,
    (live) => live === streams,
  );
  await until(tokens, (count) => count > 0);
  return {
    server,
    async answers(question) {
      const before = await tokens();
      await question();
      expect((await tokens()) - before).toBeLessThan(streams * STEPS_MAX);
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await server.close();
    },
  };
}

/** A call on a new connection is refused as the server goes down, while all streams go on. */
export async function refusesWhileDraining({ server, answers }: BusyGateway): Promise<void> {
  const { live } = server.serving.link;
  void server.serving.stop('the test wants it');
  await answers(async () => {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ prompt: 'Rivers', max_tokens: 1 }),
    });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'draining' } });
  });
  expect(server.serving.link.live).toBe(live);
}
