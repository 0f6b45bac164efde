import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { loggedId } from '../../src/gateway/limits/log-options.ts';
import { ENDLESS_TOKENS } from '../support/http-calls.ts';
import { startTestServer, type TestServer, type TestServerOverrides } from '../support/test-server.ts';
import { eventually } from '../support/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'twinfer-debug-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Bodies are looked at field by field. */
type Json = ReturnType<typeof JSON.parse>;

let server: TestServer;
let logs = 0;
let logFile = '';
afterEach(() => server.close());

/** A server in real time, so that a request lasts, whose log is kept. */
async function start(overrides: TestServerOverrides = {}): Promise<void> {
  logFile = join(folder, `${logs++}.log`);
  server = await startTestServer({
    timeScale: 1,
    logLevel: 'info',
    logFile,
    limits: { drainTimeoutMs: 1 },
    ...overrides,
  });
}

function logLines(): Record<string, unknown>[] {
  return readFileSync(logFile, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The first such line of the log, which is written behind the answers. */
function logged(wanted: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
  const look = () => {
    const line = logLines().find(wanted);
    expect(line).toBeDefined();
    return line!;
  };
  return eventually(look);
}

/** Begins a long answer whose id ends with `name`; resolves when its first token has come. */
async function begin(name: string): Promise<{ stop(): void }> {
  const stop = new AbortController();
  const response = await fetch(`${server.url}/generate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json', 'x-request-id': name },
    body: JSON.stringify({ prompt: 'a'.repeat(100), max_tokens: ENDLESS_TOKENS, ignore_eos: true }),
    signal: stop.signal,
  });
  expect(response.status).toBe(200);
  await response.body!.getReader().read();
  return { stop: () => stop.abort() };
}

async function debug(path: string): Promise<{ status: number; body: Json }> {
  const response = await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${server.adminKey}` } });
  return { status: response.status, body: (await response.json()) as Json };
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))?.[1]);
}

describe('a planted leak', () => {
  it('is found by audit, leak report and metrics, in the name of the request, also when that has ended', async () => {
    await start();
    const guilty = await begin('guilty');
    const planted = (await server.admin('/admin/faults', { kind: 'leak-blocks', blocks: 7 })) as Json;
    expect(planted['planted']).toMatchObject({ blocks: 7, request_id: 'gen-guilty' });
    expect((await debug('/debug/leaks')).body).toMatchObject({
      blocks: 7,
      blocks_of_nobody: 0,
      by_request: [{ request_id: 'gen-guilty', blocks: 7, live: true, last_action: 'allocate', stack: null }],
    });
    guilty.stop();
    await server.idle();
    expect(await server.admin('/debug/audit')).toMatchObject({ orphaned: 7, mismatched: 0, in_use: 7 });
    const { body } = await debug('/debug/leaks');
    expect(body).toMatchObject({ blocks: 7, by_request: [{ request_id: 'gen-guilty', live: false }] });
    expect(await metric('kv_cache_orphaned_blocks')).toBe(7);
    expect((await debug('/debug/state')).body['text']).toMatch(/^idle, but 7 blocks are in use: 7 are orphaned/);
    const line = await logged((each) => String(each['msg']).startsWith('block audit'));
    expect(line).toMatchObject({ orphaned: 7, findings: [{ last_holder: { request_id: loggedId('gen-guilty') } }] });
    expect((line['flight_recorder'] as string[]).length).toBeGreaterThan(0);
    const block = body['by_request'][0].ranges[0][0] as number;
    const history = await debug(`/debug/blocks/${block}`);
    expect(history.body['events'].at(-1)).toMatchObject({ action: 'allocate', request_id: 'gen-guilty' });
  });
});

describe('a planted reference too many', () => {
  it('is found by the audit, which names who holds the block', async () => {
    await start();
    const request = await begin('counted-twice');
    await server.admin('/admin/faults', { kind: 'wrong-reference' });
    expect(await server.admin('/debug/audit')).toMatchObject({
      orphaned: 0,
      mismatched: 1,
      findings: [{ kind: 'mismatch', references: 2, owners: 1, holders: [{ request_id: 'gen-counted-twice' }] }],
    });
    expect((await debug('/debug/leaks')).body).toMatchObject({
      by_request: [{ request_id: 'gen-counted-twice', blocks: 1 }],
    });
    request.stop();
    await server.idle();
    expect(await server.admin('/debug/audit')).toMatchObject({ orphaned: 1, mismatched: 0 });
    const response = await fetch(`${server.url}/admin/faults`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ kind: 'wrong-reference' }),
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('nothing runs');
  });

  it('brings the engine down at its next full check, and the log has the law and the last steps', async () => {
    await start({ engine: { checkIntervalNs: 0 } });
    await begin('doomed');
    // The engine may be down before it answers.
    await server.admin('/admin/faults', { kind: 'wrong-reference' }).catch(() => {});
    const line = await logged((each) => each['event'] === 'crashed');
    expect(line['detail']).toContain('references = owners');
    expect((line['flight_recorder'] as string[]).at(-1)).toMatch(/^step=\d+ timeNs=\d+ rows=1 /);
  });
});

describe('a planted stall', () => {
  it('of the device: the diagnosis names the step and the requests in it, and is logged once', async () => {
    await start({ watchdog: { stallMs: 300 }, engine: { sequencesMax: 1 } });
    await begin('stuck');
    await server.admin('/admin/faults', { kind: 'hang', seconds: 3600 });
    void fetch(`${server.url}/generate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json', 'x-request-id': 'behind' },
      body: JSON.stringify({ prompt: 'b', max_tokens: 5 }),
    }).catch(() => {});
    const body = await eventually(async () => {
      const state = (await debug('/debug/state')).body;
      expect(state['text']).toContain('waiting: gen-behind');
      return state;
    });
    expect(body['text']).toMatch(
      /^step \d+ \(1 rows\) has been with the device for .*; 1 wait, the first for (the next plan|one of 1 places in the batch)/,
    );
    const seconds = async () => (await debug('/debug/state')).body['engine'].diagnosis.in_flight[0].age_ns / 1e9;
    await eventually(async () => expect(await seconds()).toBeGreaterThan(1));
    expect(body['engine'].diagnosis).toMatchObject({
      in_flight: [{ rows: 1 }],
      top_holders: [{ request_id: 'gen-stuck', state: 'running', steps_in_flight: 1 }],
      heads: [{ request_id: 'gen-behind', queue: 'waiting' }],
    });
    const reports = () => logLines().filter((each) => String(each['msg']).startsWith('stalled: '));
    await eventually(() => expect(reports().length).toBe(1));
    expect(reports()[0]!['msg']).toMatch(/^stalled: step \d+ \(1 rows\) has been with the device/);
    expect(JSON.stringify(reports()[0])).toContain(loggedId('gen-stuck'));
  });

  it('of the thread: the gateway answers with what it knows, and names the requests that hang', async () => {
    await start({ watchdog: { stallMs: 300 }, patience: { engineAnswerMs: 200 } });
    await begin('hanging');
    await server.admin('/admin/faults', { kind: 'hang-thread', seconds: 3600 });
    const { status, body } = await debug('/debug/state');
    expect(status).toBe(200);
    expect(body['engine']).toBe(null);
    expect(body['text']).toContain("the engine's thread has not answered for 200 ms; the engine is running");
    expect(body['oldest_calls']).toMatchObject([{ request_id: 'gen-hanging', prompt_tokens: 100 }]);
    expect(body['status']).toMatchObject({ running_sequences: 1, device_lost: false });
    expect((await debug('/debug/leaks')).status).toBe(503);
    await eventually(() =>
      expect(logLines().map((each) => each['msg'])).toContain("stalled: the engine's thread does not answer"),
    );
  });

  it('of the thread that ends: the engine answers again', async () => {
    await start({ patience: { engineAnswerMs: 500 } });
    await server.admin('/admin/faults', { kind: 'hang-thread', seconds: 1.5 });
    expect((await debug('/debug/state')).body['engine']).toBe(null);
    await eventually(async () => expect((await debug('/debug/state')).body['engine']).not.toBe(null));
  });
});

describe('/debug', () => {
  it('wants an admin key, refuses what is no block and what needs a GPU', async () => {
    await start({ timeScale: 0 });
    for (const path of ['/debug/state', '/debug/leaks', '/debug/flight_recorder', '/debug/blocks/1']) {
      const response = await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${server.key}` } });
      expect(response.status, path).toBe(403);
    }
    expect((await debug('/debug/blocks/xyz')).status).toBe(400);
    expect((await debug('/debug/blocks/99999999')).body['error'].message).toContain('is not one of 0 .. ');
    await expect(server.admin('/debug/profile/start')).rejects.toThrow(/501 .*needs backend cuda/);
    const engine = (await debug('/debug/state')).body['engine'];
    expect(engine.diagnosis.verdict).toBe('idle: nothing runs and nothing waits');
    expect((await debug('/debug/flight_recorder')).body).toEqual({ lines: [] });
  });

  it('says that the allocation log is off where it is off', async () => {
    await start({ timeScale: 0, allocationLog: { eventsPerBlock: 0, stacks: false } });
    expect((await debug('/debug/blocks/1')).body['error'].message).toContain('the allocation log is off');
  });
});

describe('a slow host', () => {
  it('is measured, and warned of once', async () => {
    await start();
    await server.admin('/admin/faults', { kind: 'slow-host', factor: 1000, seconds: 3600 });
    const request = await begin('slow');
    const warnings = () => logLines().filter((each) => String(each['msg']).startsWith('scheduler phase'));
    await eventually(() => expect(warnings().length).toBeGreaterThan(0));
    request.stop();
    const phases = warnings().map((each) => each['phase']);
    expect(new Set(phases).size).toBe(phases.length);
    expect(warnings()[0]).toMatchObject({ level: 40, running: expect.any(Number), ms: expect.any(Number) });
    expect(warnings()[0]!['ms']).toBeGreaterThan(1);
  });
});
