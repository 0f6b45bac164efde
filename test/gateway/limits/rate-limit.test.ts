import { describe, expect, it } from 'vitest';
import type { KeyLimitsConfig } from '../../../src/config/serve-config.ts';
import type { KeyEntry } from '../../../src/gateway/auth.ts';
import { KeyLimits, type Permit, type Refusal } from '../../../src/gateway/limits/rate-limit.ts';

const NONE: KeyLimitsConfig = { requestsPerMinute: null, tokensPerMinute: null, concurrencyMax: null };

function key(name: string, limits: Partial<KeyLimitsConfig> = {}): KeyEntry {
  return { name, sha256Hex: '0'.repeat(64), admin: false, limits };
}

function admitted(result: Permit | Refusal): Permit {
  if (!result.admitted) throw new Error(`refused: ${result.message}`);
  return result;
}

function refused(result: Permit | Refusal): Refusal {
  if (result.admitted) throw new Error('admitted');
  return result;
}

describe('limits of a key', () => {
  it('are none unless stated', () => {
    const limits = new KeyLimits([], NONE);
    for (let i = 0; i < 10_000; i++) admitted(limits.enter(null, 0));
  });

  it('let a minute of requests come at once, then one at a time as they flow in', () => {
    const limits = new KeyLimits([key('a')], { ...NONE, requestsPerMinute: 60 });
    for (let i = 0; i < 60; i++) admitted(limits.enter(key('a'), 0));
    const refusal = refused(limits.enter(key('a'), 0));
    expect(refusal).toMatchObject({ limit: 'requests', retryAfterMs: 1000 });
    expect(refusal.message).toContain('requests per minute: at most 60');
    refused(limits.enter(key('a'), 999));
    admitted(limits.enter(key('a'), 1000));
    refused(limits.enter(key('a'), 1000));
  });

  it('keep no more than a minute of requests', () => {
    const limits = new KeyLimits([key('a')], { ...NONE, requestsPerMinute: 2 });
    let nowMs = 3_600_000;
    admitted(limits.enter(key('a'), nowMs));
    nowMs += 3_600_000;
    admitted(limits.enter(key('a'), nowMs));
    admitted(limits.enter(key('a'), nowMs));
    refused(limits.enter(key('a'), nowMs));
  });

  it('promise a time at which the next request is taken', () => {
    const limits = new KeyLimits([key('a')], { ...NONE, requestsPerMinute: 7 });
    for (let i = 0; i < 7; i++) admitted(limits.enter(key('a'), 123));
    const { retryAfterMs } = refused(limits.enter(key('a'), 4567));
    admitted(limits.enter(key('a'), 4567 + retryAfterMs));
  });

  it('count tokens when a request ends; a debt is paid before the next begins', () => {
    const limits = new KeyLimits([key('a')], { ...NONE, tokensPerMinute: 600 });
    admitted(limits.enter(key('a'), 0)).release(900, 0);
    const refusal = refused(limits.enter(key('a'), 0));
    expect(refusal).toMatchObject({ limit: 'tokens', retryAfterMs: 30_100 });
    refused(limits.enter(key('a'), 30_000));
    admitted(limits.enter(key('a'), 30_100));
  });

  it('bound the requests at the same time; one that ends makes room once', () => {
    const limits = new KeyLimits([key('a')], { ...NONE, concurrencyMax: 2 });
    const first = admitted(limits.enter(key('a'), 0));
    admitted(limits.enter(key('a'), 0));
    expect(refused(limits.enter(key('a'), 0)).limit).toBe('concurrency');
    first.release(1, 1);
    first.release(1, 1);
    admitted(limits.enter(key('a'), 1));
    refused(limits.enter(key('a'), 1));
  });

  it('are those of each key, which may differ', () => {
    const keys = [key('a'), key('b', { requestsPerMinute: 3 })];
    const limits = new KeyLimits(keys, { ...NONE, requestsPerMinute: 1 });
    admitted(limits.enter(keys[0]!, 0));
    refused(limits.enter(keys[0]!, 0));
    for (let i = 0; i < 3; i++) admitted(limits.enter(keys[1]!, 0));
    refused(limits.enter(keys[1]!, 0));
  });

  it('are shared by all clients of a server without keys', () => {
    const limits = new KeyLimits([], { ...NONE, concurrencyMax: 1 });
    admitted(limits.enter(null, 0));
    refused(limits.enter(null, 0));
  });

  it('do not gain from a clock that goes back', () => {
    const limits = new KeyLimits([], { ...NONE, requestsPerMinute: 1 });
    admitted(limits.enter(null, 60_000));
    refused(limits.enter(null, 0));
    refused(limits.enter(null, 60_001));
    admitted(limits.enter(null, 120_000));
  });
});
