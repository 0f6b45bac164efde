import { afterEach, describe, expect, it } from 'vitest';
import { CONNECTIONS_RESERVED } from '../../src/gateway/connections.ts';
import {
  connectTo,
  ENDLESS_TOKENS,
  metricsOf,
  type RawConnection,
  requestBytes,
  until,
} from '../support/http-calls.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';

let server: TestServer;
let opened: RawConnection[] = [];

async function start(http: TestServerOverrides['http'], more: TestServerOverrides = {}): Promise<void> {
  server = await startTestServer({ http: { ...http }, ...more });
}

afterEach(async () => {
  for (const { socket } of opened) socket.destroy();
  opened = [];
  await server.close();
});

async function connect(bytes = ''): Promise<RawConnection> {
  const connection = await connectTo(server);
  opened.push(connection);
  connection.socket.write(bytes);
  return connection;
}

/** One after the other, so that the server knows them in this order. */
async function connectMany(count: number, bytes = ''): Promise<RawConnection[]> {
  const all: RawConnection[] = [];
  for (let i = 0; i < count; i++) all.push(await connect(bytes));
  return all;
}

/** Status of an answer on a connection of its own; 0: closed without one. */
async function statusOf(bytes: string): Promise<number> {
  const connection = await connect(bytes);
  await Promise.race([connection.closed, until(connection.received, (text) => text.includes('\r\n\r\n'))]);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(connection.received())?.[1] ?? 0);
}

const health = () => statusOf(requestBytes(server, '/health/live', null));
const endless = () =>
  requestBytes(server, '/v1/completions', {
    prompt: 'Rivers',
    max_tokens: ENDLESS_TOKENS,
    ignore_eos: true,
    stream: true,
  });
const short = (prompt = 'Rivers') =>
  requestBytes(server, '/v1/completions', { prompt, max_tokens: 2, ignore_eos: true, stream: true });
const begun = (connection: RawConnection) => until(connection.received, (text) => text.includes('data: '));

async function endlessStreams(count: number): Promise<RawConnection[]> {
  const streams = await connectMany(count, endless());
  for (const stream of streams) await begun(stream);
  return streams;
}

describe('idle connections', () => {
  it.each([
    ['that sent nothing', ''],
    ['that sent a part of their headers', 'GET /health HTTP/1.1\r\nhost: localhost\r\n'],
    [
      'that sent a part of their body',
      'POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-test\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{',
    ],
    ['that have had an answer', 'GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n'],
  ])('%s make room for new ones, the longest idle first', async (_what, bytes) => {
    const connectionsMax = 20;
    await start({ connectionsMax });
    const many = await connectMany(200, bytes);
    expect(await health()).toBe(200);
    // That of the question is one of them.
    const left = connectionsMax - 1;
    await Promise.all(many.slice(0, -left).map(({ closed }) => closed));
    const samples = await metricsOf(server);
    expect(samples.get('gateway_open_connections')).toBeLessThanOrEqual(connectionsMax);
    expect(samples.get('gateway_connections_closed_total{reason="full"}')).toBe(0);
    // The newest are still there: the first of them was closed for the question about the metrics.
    for (const { socket } of many.slice(-left + 3)) expect(socket.readyState).toBe('open');
  });

  it('do not end calls that are being answered', async () => {
    await start({ connectionsMax: 10 }, { timeScale: 1 });
    const streams = await endlessStreams(5);
    await connectMany(50);
    expect(await health()).toBe(200);
    const before = streams.map((stream) => stream.received().length);
    for (const [i, stream] of streams.entries())
      await until(
        () => stream.received().length,
        (length) => length > before[i]!,
      );
  });
});

describe('where all connections are busy', () => {
  it('a few more answer probes and scrapers, and nothing else', async () => {
    await start({ connectionsMax: 4 }, { timeScale: 1 });
    const streams = await endlessStreams(4);
    expect(await health()).toBe(200);
    expect(await statusOf(requestBytes(server, '/health', null))).toBe(200);
    expect(await statusOf(requestBytes(server, '/metrics', null))).toBe(200);
    const refused = await connect(short());
    await refused.closed;
    expect(refused.received()).toMatch(/^HTTP\/1\.1 503 .*connection: close.*"code":"too_many_connections"/s);
    // Idle ones do not take these places for long.
    await connectMany(3 * CONNECTIONS_RESERVED);
    expect(await health()).toBe(200);
    streams[0]!.socket.destroy();
    await until(
      () => statusOf(short()),
      (status) => status === 200,
    );
  });

  it('and those few as well, a new one is closed', async () => {
    await start({ connectionsMax: 2 }, { timeScale: 1 });
    await endlessStreams(2);
    // Nothing that takes long is answered there, so they are busy for a moment only: all come in one turn of the event loop.
    const before = await metricsOf(server);
    const probes = Array.from({ length: 10 * CONNECTIONS_RESERVED }, () => connect());
    await Promise.all(probes);
    expect(await health()).toBe(200);
    const after = await metricsOf(server);
    const name = 'gateway_connections_closed_total{reason="idle"}';
    const full = 'gateway_connections_closed_total{reason="full"}';
    const closed = after.get(name)! - before.get(name)! + after.get(full)! - before.get(full)!;
    expect(closed).toBeGreaterThanOrEqual(9 * CONNECTIONS_RESERVED);
  });
});

describe('connections of one address', () => {
  it('are limited where that is set: idle ones make room, busy ones do not', async () => {
    await start({ connectionsPerAddressMax: 5 }, { timeScale: 1 });
    const idle = await connectMany(5);
    await health();
    await idle[0]!.closed;
    const streams = await endlessStreams(5);
    for (const { closed } of idle) await closed;
    expect(await statusOf(short())).toBe(0);
    streams[0]!.socket.destroy();
    await until(
      () => statusOf(short()),
      (status) => status === 200,
    );
  });
});

describe('requests of one connection', () => {
  it('are answered one after the other, in their order', async () => {
    await start({ pipelinedMax: 16 });
    const prompts = Array.from({ length: 17 }, (_, i) => `Rivers ${i}`);
    const running = new Set<number>();
    const connection = await connect(prompts.map(short).join(''));
    await until(
      () => {
        running.add(server.serving.link.live);
        return connection.received().split('data: [DONE]').length;
      },
      (answers) => answers === 18,
    );
    expect(Math.max(...running)).toBeLessThanOrEqual(1);
    expect(connection.received().match(/HTTP\/1\.1 200/g)).toHaveLength(17);
    connection.socket.write(requestBytes(server, '/health/live', null));
    await until(connection.received, (text) => text.endsWith('{"status":"ok"}'));
  });

  it('of 1,000 streams at once run one by one, and those that would wait behind too many are refused with 429', async () => {
    await start({ pipelinedMax: 3 });
    let most = 0;
    const connection = await connect(short().repeat(1000));
    await until(
      () => {
        most = Math.max(most, server.serving.link.live);
        return connection.socket.readyState;
      },
      (state) => state !== 'open',
    );
    await connection.closed;
    expect(most).toBeLessThanOrEqual(1);
    const statuses = connection.received().match(/HTTP\/1\.1 \d+/g)!;
    expect(statuses).toEqual([...Array.from({ length: 4 }, () => 'HTTP/1.1 200'), 'HTTP/1.1 429']);
    await server.idle();
  });

  it('that wait are forgotten when the client leaves', async () => {
    await start({ pipelinedMax: 16 }, { timeScale: 1 });
    const connection = await connect(endless().repeat(10));
    await begun(connection);
    expect(server.serving.link.live).toBe(1);
    connection.socket.destroy();
    await server.idle();
    expect(await statusOf(short())).toBe(200);
  });
});
