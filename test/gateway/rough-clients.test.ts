import { expect, it } from 'vitest';
import { serverCounts, soak } from '../../bench/gateway-load/soak.ts';
import { startTestServer } from '../support/test-server.ts';

// The short form of bench/gateway-soak.ts: clients that hang up, read slowly, send bad bodies or no HTTP at all.

const REQUESTS = 2000;

it('every request ends once, and nothing is left behind, however clients behave', async () => {
  const server = await startTestServer({ http: { streamBufferBytesMax: 1 << 16 } });
  try {
    const { endings, manners, broken } = await soak(server, { requests: REQUESTS, concurrency: 48, seed: 1 });
    expect(broken).toEqual([]);
    expect(Object.values(endings).reduce((sum, count) => sum + count)).toBe(REQUESTS);
    for (const ending of ['completed', 'refused', 'hung up'] as const) expect(endings[ending]).toBeGreaterThan(0);
    // On a busy machine the answer may not fill the buffers before its reader goes on; limits.test.ts cuts one off for sure.
    expect(manners['slow reader']).toBeGreaterThan(0);
    const page = await server.idle();
    expect(page.kv_blocks_used).toBe(0);
    expect(page.engine_restarts).toBe(0);
    const { received, outcomes } = serverCounts(await (await fetch(`${server.url}/metrics`)).text());
    expect(Object.values(outcomes).reduce((sum, count) => sum + count)).toBe(received);
    expect(outcomes['server_error']).toBe(0);
    // Some of those that hung up had been answered when the server heard of it.
    expect(outcomes['success']).toBeGreaterThanOrEqual(endings.completed);
    expect(outcomes['success']).toBeLessThanOrEqual(endings.completed + endings['hung up']);
    // The engine's own laws, once more at rest.
    expect(await server.admin('/admin/check')).toEqual({ ok: true });
  } finally {
    await server.close();
  }
});
