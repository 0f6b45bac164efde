import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import {
  bodyOf,
  type CompletionBody,
  ENDLESS_TOKENS,
  type ErrorBody,
  metricsOf,
  openStream,
  post,
  until,
} from '../support/http-calls.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';
import { expectBalanceAfterCrashes } from './crash-rounds.ts';

const folder = mkdtempSync(join(tmpdir(), 'twinfer-recovery-'));
const logFile = join(folder, 'server.log');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function start(overrides: TestServerOverrides = {}): Promise<TestServer> {
  rmSync(logFile, { force: true });
  server = await startTestServer({ timeScale: 1, logLevel: 'info', logFile, ...overrides });
  return server;
}

const ENDLESS = { prompt: 'Rivers', seed: 3, max_tokens: ENDLESS_TOKENS, ignore_eos: true };

/** The first line of the log with this message. */
async function logged(message: string): Promise<Record<string, unknown>> {
  const find = () =>
    readFileSync(logFile, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find((line) => line['msg'] === message);
  return (await until(find, (line) => line !== undefined))!;
}

async function health(): Promise<{ status: number; reason: string }> {
  const response = await fetch(`${server!.url}/health`);
  const { reason = '' } = (await response.json()) as { reason?: string };
  return { status: response.status, reason };
}

describe.each([
  ['wrong-reference', { kind: 'wrong-reference' }, { orphaned: 0, mismatched: 1 }],
  ['leak-blocks', { kind: 'leak-blocks', blocks: 3 }, { orphaned: 3, mismatched: 0 }],
])('an engine whose invariants are broken by %s', (_, fault, audited) => {
  it('is named by an audit, which changes nothing, and started again by a check', async () => {
    const at = await start();
    const stream = await openStream(at, ENDLESS);
    await stream.next();
    await at.admin('/admin/faults', fault);

    expect(await at.admin('/debug/audit')).toMatchObject({ ...audited, violated: ['references = owners'] });
    const line = await logged('block audit: blocks are lost or have wrong reference counts');
    expect(line).toMatchObject({ violated: ['references = owners'] });
    expect((await at.load()).engine_restarts).toBe(0);

    const { error } = await bodyOf<ErrorBody>(post(at, {}, { path: '/admin/check', key: at.adminKey }), 500);
    expect(error).toMatchObject({ type: 'server_error', code: 'invariant_violated' });
    expect(error.message).toMatch(/^invariant "references = owners" violated: block \d+: \d references, \d owners/);
    expect((await stream.rest()).at(-2)).toContain('engine_failed');
    const crash = await logged('engine crashed');
    expect(crash).toMatchObject({ event: 'crashed', invariant: 'references = owners' });
    expect(crash['detail']).toContain('invariant "references = owners" violated: block');
    expect((crash['flight_recorder'] as string[]).length).toBeGreaterThan(0);

    await until(health, ({ status }) => status === 200);
    expect(await at.load()).toMatchObject({ engine_restarts: 1, kv_blocks_used: 0, running_sequences: 0 });
    expect(await at.admin('/admin/check')).toEqual({ ok: true });
    expect(await at.admin('/debug/audit')).toMatchObject({ orphaned: 0, mismatched: 0, violated: [] });
    const served = await bodyOf<CompletionBody>(post(at, { ...ENDLESS, max_tokens: 5 }));
    expect(served.usage!.completion_tokens).toBe(5);
    const metrics = await metricsOf(at);
    expect(metrics.get('kv_cache_orphaned_blocks')).toBe(0);
    expect(metrics.get('kv_cache_ref_mismatch_blocks')).toBe(0);
  });
});

describe('a GPU that is unhealthy', () => {
  it('makes /health 503 for as long as it is, and names it', async () => {
    const at = await start();
    // A window that has ended before it is looked at, on a busy machine, is tried again twice as long.
    let seen = await health();
    for (let seconds = 1; seen.status === 200 && seconds < 1000; seconds *= 2) {
      await at.admin('/admin/faults', { kind: 'unhealthy', seconds });
      seen = await health();
    }
    expect(seen).toEqual({ status: 503, reason: 'GPU 0 is unhealthy' });
    expect((await fetch(`${at.url}/health/live`)).status).toBe(200);
    await until(health, ({ status }) => status === 200);
  });

  it('is forgotten with the engine that said so', async () => {
    const at = await start();
    await at.admin('/admin/faults', { kind: 'unhealthy', seconds: 86_400 });
    expect((await health()).status).toBe(503);
    at.serving.link.kill();
    await until(at.load, ({ engine_restarts }) => engine_restarts === 1);
    await until(health, ({ status }) => status === 200);
    expect((await metricsOf(at)).get('gpu_health_status{gpu_id="0"}')).toBe(1);
  });
});

describe('an engine that fails at any moment of any load', () => {
  it('leaves counters that balance and gauges of the next engine', async () => {
    await expectBalanceAfterCrashes(4, 7);
  });
});
