import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { serveProcess } from '../support/served-process.ts';
import { type BusyGateway, busyGateway, refusesWhileDraining } from './busy-gateway.ts';

// The full numbers of connections.test.ts and busy-gateway.test.ts.

let gateway: BusyGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

describe('while the engine has more to say than the gateway can write', () => {
  it('a new call gets 503 on SIGTERM, with 200 streams', async () => {
    gateway = await busyGateway(200, {}, true);
    await refusesWhileDraining(gateway);
  });

  it('500 slow readers do not keep others from their answers', async () => {
    gateway = await busyGateway(500, { logprobs: 20 }, false);
    for (let i = 0; i < 10; i++) await gateway.answers(() => gateway!.server.load());
  });
});

it('10,000 idle connections of one address do not keep a probe from its answer', async () => {
  const server = await serveProcess('');
  const sockets: Socket[] = [];
  const health = async () => (await fetch(`${server.url}/health/live`, { headers: { connection: 'close' } })).status;
  try {
    for (let i = 0; i < 10_000; i++) {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      sockets.push(socket);
      if (i % 500 === 499) expect(await health()).toBe(200);
    }
    for (let i = 0; i < 10; i++) expect(await health()).toBe(200);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.kill('SIGTERM');
    expect(await server.exit).toEqual({ code: 0, signal: null });
  }
});
