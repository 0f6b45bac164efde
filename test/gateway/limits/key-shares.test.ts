import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { AdmissionConfig } from '../../../src/config/serve-config.ts';
import type { KeyEntry } from '../../../src/gateway/auth.ts';
import { engineQueueMax, KeyShares } from '../../../src/gateway/limits/key-shares.ts';
import { EngineRig } from '../../support/engine-rig.ts';
import {
  bodyOf,
  type CompletionBody,
  ENDLESS_TOKENS,
  type ErrorBody,
  openStream,
  post,
  until,
} from '../../support/http-calls.ts';
import { apiKey, startTestServer, type TestServer } from '../../support/test-server.ts';

const SEQUENCES_MAX = 4;
const WAITING_MAX = 8;
const HALF = (SEQUENCES_MAX + WAITING_MAX) / 2;
const CONFIG: AdmissionConfig = {
  waitingMax: WAITING_MAX,
  queueWaitMaxMs: 1e9,
  retryAfterMaxMs: 60_000,
  bookingsMax: 100,
  predictedRequestMs: 100,
  concurrency: SEQUENCES_MAX,
};

function key(name: string): KeyEntry {
  return apiKey(name, name);
}
const KEYS = [key('a'), key('b'), key('c')];

interface RandomArrival {
  readonly step: number;
  readonly key: number;
  readonly n: number;
  readonly outputTokens: number;
}

const arrival: fc.Arbitrary<RandomArrival> = fc.record({
  step: fc.nat(60),
  key: fc.nat(KEYS.length - 1),
  n: fc.constantFrom(1, 1, 1, 2, 3),
  outputTokens: fc.integer({ min: 1, max: 40 }),
});

/** Requests of some keys before an engine that is stepped in virtual time, 10 ms a step; how each was answered. */
function run(arrivals: readonly RandomArrival[], keysMax: number) {
  const shares = new KeyShares(CONFIG, true);
  const most = engineQueueMax(SEQUENCES_MAX + WAITING_MAX, keysMax);
  const rig = new EngineRig({
    config: { blocksTotal: 512, sequencesMax: SEQUENCES_MAX, waitingMax: most, modelLenMax: 64 },
  });
  const own = KEYS.map(() => 0);
  /** Keys for which the book keeps slots, which newcomers of that key leave to them. */
  const booked = KEYS.map(() => false);
  const seen = { lone: 0, contended: 0, share: 0, refused: 0 };
  let admitted = 0;
  const live: { readonly key: number; readonly n: number; readonly heard: readonly { readonly ends: string[] }[] }[] =
    [];
  const settle = (nowMs: number) => {
    for (const call of live.filter(({ heard }) => heard.every(({ ends }) => ends.length === 1))) {
      live.splice(live.indexOf(call), 1);
      own[call.key]! -= call.n;
      shares.completed(KEYS[call.key]!, call.n, nowMs);
    }
  };
  const arrive = (at: RandomArrival, nowMs: number) => {
    const before = own[at.key]!;
    const others = own.reduce((sum, each) => sum + each, 0) - before;
    const running = rig.engine.scheduler.running.length;
    const admission = shares.arrive({
      key: KEYS[at.key]!,
      nowMs,
      sequences: at.n,
      running,
      sequencesMax: SEQUENCES_MAX,
      isRetry: null,
      fingerprint: () => 1,
    });
    seen[others === 0 ? 'lone' : 'contended']++;
    // A lone key is refused only as on a server without keys: the queue is full, or kept for those who booked.
    if (others === 0) expect(admission.admitted || admission.status).not.toBe('share');
    else if (admission.admitted) expect(before + at.n).toBeLessThanOrEqual(HALF);
    // Whatever the others have queued and booked: of two keys each has its half, of more the first sequence is taken.
    else if (!booked[at.key]) {
      if (keysMax === 2) expect(before + at.n).toBeGreaterThan(HALF);
      else expect(before + at.n).toBeGreaterThan(1);
    }
    if (!admission.admitted) {
      if (admission.status === 'share') {
        seen.share++;
        expect(admission.message).toContain(`at most ${HALF} sequences`);
        expect(admission.retryAfterMs).toBeGreaterThan(0);
      } else {
        seen.refused++;
        booked[at.key] = true;
      }
      return;
    }
    admitted += at.n;
    own[at.key]! += at.n;
    shares.entered(KEYS[at.key]!, at.n);
    const prompt = [admitted, at.key];
    const spec = {
      prompt,
      outputTokensMax: at.outputTokens,
      sampling: { n: at.n },
      tenant: shares.tenantOf(KEYS[at.key]!),
    };
    live.push({ key: at.key, n: at.n, heard: rig.submitAll(spec).map((sequence) => rig.heardOf(sequence)) });
  };
  for (let step = 0; step <= 60 || live.length > 0; step++) {
    const nowMs = 10 * step;
    settle(nowMs);
    for (const each of arrivals) if (each.step === step) arrive(each, nowMs);
    rig.step();
    expect(step).toBeLessThan(10_000);
  }
  expect(rig.rejections).toEqual([]);
  expect([...rig.heard.values()].map(({ ends }) => ends)).toEqual(Array.from({ length: admitted }, () => ['length']));
  return seen;
}

describe('shares of keys', () => {
  it.each([2, 3])(
    'of %i keys: a lone one has everything, each of several at most half, and no request is lost',
    (keys) => {
      const reached = { lone: 0, contended: 0, share: 0, refused: 0 };
      const some = arrival.filter(({ key: index }) => index < keys);
      fc.assert(
        fc.property(fc.array(some, { minLength: 1, maxLength: 80, size: 'max' }), (arrivals) => {
          const seen = run(arrivals, keys);
          for (const name of Object.keys(seen) as (keyof typeof seen)[]) reached[name] += seen[name];
        }),
        { numRuns: 60 },
      );
      expect(Object.entries(reached).filter(([name, count]) => count === 0 && name !== 'refused')).toEqual([]);
    },
  );

  it('are not told apart where that is off: no key has a tenant of its own, nor a limit', () => {
    const shares = new KeyShares(CONFIG, false);
    shares.entered(KEYS[0]!, HALF);
    const arrived = {
      nowMs: 0,
      running: SEQUENCES_MAX,
      sequencesMax: SEQUENCES_MAX,
      isRetry: null,
      fingerprint: () => 1,
    };
    expect(KEYS.map((each) => shares.tenantOf(each))).toEqual([0, 0, 0]);
    shares.entered(KEYS[1]!, 1);
    expect(shares.arrive({ ...arrived, key: KEYS[0]!, sequences: 1 }).admitted).toBe(true);
    shares.entered(KEYS[0]!, SEQUENCES_MAX + WAITING_MAX - HALF - 1);
    expect(shares.arrive({ ...arrived, key: KEYS[2]!, sequences: 1 })).toMatchObject({
      status: 429,
      waiting: WAITING_MAX,
    });
  });

  it('of the slots that are remembered are at most half as well', () => {
    const shares = new KeyShares({ ...CONFIG, bookingsMax: 4, waitingMax: 0 }, true);
    const arrived = { nowMs: 0, running: 1, sequencesMax: 1, isRetry: null, sequences: 1 };
    let body = 1;
    const refused = (of: KeyEntry) => shares.arrive({ ...arrived, key: of, fingerprint: () => body++ });
    shares.entered(KEYS[1]!, 1);
    shares.completed(KEYS[1]!, 1, 0);
    shares.entered(KEYS[0]!, 1);
    expect([1, 2, 3].map(() => refused(KEYS[0]!)).map((each) => !each.admitted && each.status)).toEqual([
      429, 429, 503,
    ]);
  });
});

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

describe('a server with two keys', () => {
  it('serves one that comes ahead of the queue of the other, which gets no more than half from then on', async () => {
    const at = await startTestServer({
      timeScale: 1,
      engine: { sequencesMax: 2 },
      limits: { waitingMax: 6, drainTimeoutMs: 1 },
      admission: { waitingMax: 6, concurrency: 2, queueWaitMaxMs: 1e9 },
      keys: [apiKey('other', 'sk-other')],
    });
    server = at;
    const body = { prompt: 'Rivers', max_tokens: ENDLESS_TOKENS, ignore_eos: true };
    // A lone key fills batch and queue.
    const running = [await openStream(at, body), await openStream(at, body)];
    for (const stream of running) await stream.next();
    const left = new AbortController();
    const queued = Array.from({ length: 6 }, () => post(at, body, { signal: left.signal }).catch(() => null));
    await until(at.load, ({ waiting_sequences }) => waiting_sequences === 6);

    const newcomer = post(at, { ...body, max_tokens: 3 }, { key: 'sk-other' });
    await until(at.load, ({ waiting_sequences }) => waiting_sequences === 7);
    const refused = await post(at, body);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const { error } = await bodyOf<ErrorBody>(refused, 429);
    expect(error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' });
    expect(error.message).toBe(
      'limit of this key reached: at most 4 sequences, half of batch and queue, while other keys have work',
    );
    // One place becomes free: it is the newcomer's, although six came before.
    await running[0]!.cancel();
    expect((await bodyOf<CompletionBody>(newcomer)).usage!.completion_tokens).toBe(3);
    left.abort();
    await running[1]!.cancel();
    await Promise.all(queued);
    expect((await at.idle()).kv_blocks_used).toBe(0);
  });
});

it('a server that others can reach logs which keys have no limits', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'twinfer-shares-'));
  const logFile = join(folder, 'server.log');
  try {
    server = await startTestServer({ host: '0.0.0.0', logLevel: 'warn', logFile });
    const line = await until(
      () => readFileSync(logFile, 'utf8').split('\n', 1)[0]!,
      (text) => text !== '',
    );
    expect(JSON.parse(line)).toMatchObject({ msg: expect.stringMatching(/^1 of 2 keys have no limits \(test\): /) });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
