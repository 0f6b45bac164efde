import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BadSocket, badSockets, statusesIn } from './bad-sockets.ts';

let server: Server;
let requestsRead = 0;

/** A bare server with the settings of the gateway: what its parser refuses, the gateway refuses. */
beforeAll(async () => {
  server = createServer({ maxHeaderSize: 16_384 }, (request, response) => {
    request.on('error', () => undefined);
    request.on('data', () => undefined);
    request.on('end', () => {
      if (request.url !== '/') requestsRead++;
      response.writeHead(404, { connection: 'close' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** All that the server writes until it closes the connection. */
function answerTo({ bytes, end }: BadSocket): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      if (end) socket.end(bytes);
      else socket.write(bytes);
    });
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      answer += text;
    });
    // A reset after the answer is as good as a close.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}

describe("bytes that are no request are refused by Node's parser", () => {
  it.each(badSockets(null).map((input) => [input.name, input] as const))('%s', async (_name, input) => {
    const before = requestsRead;
    const statuses = statusesIn(await answerTo(input));
    expect(statuses.length).toBeLessThanOrEqual(1);
    for (const status of statuses) expect(input.statuses).toContain(status);
    expect(requestsRead).toBe(before);
  });
});

describe('the corpus', () => {
  it('names each shape once', () => {
    expect(new Set(badSockets(null).map(({ name }) => name)).size).toBe(badSockets(null).length);
    expect(badSockets(null).length).toBeGreaterThan(60);
  });
});
