import { afterEach, describe, expect, it } from 'vitest';
import { ProcessUsage } from '../../../src/runtime/serving/process-usage.ts';
import { eventually } from '../../support/until.ts';

let usage: ProcessUsage;
afterEach(() => usage.close());

describe('ProcessUsage', () => {
  it('reads what the process uses', () => {
    usage = new ProcessUsage();
    const { cpuSeconds, residentBytes, heapUsedBytes, startedSeconds, openFds } = usage.read();
    expect(cpuSeconds).toBeGreaterThan(0);
    expect(residentBytes).toBeGreaterThan(heapUsedBytes);
    expect(heapUsedBytes).toBeGreaterThan(1e6);
    expect(startedSeconds).toBeGreaterThan(1.6e9);
    if (process.platform === 'linux') expect(openFds).toBeGreaterThan(2);
    else expect(openFds).toBe(null);
  });

  it('counts collections of garbage with the time that they took', async () => {
    usage = new ProcessUsage();
    let kept: unknown[] = [];
    await eventually(() => {
      for (let i = 0; i < 20_000; i++) kept.push({ i });
      kept = [];
      const { collections, gcSeconds } = usage.read();
      expect(collections.minor + collections.major).toBeGreaterThan(0);
      expect(gcSeconds).toBeGreaterThan(0);
    });
    expect(kept).toEqual([]);
  });
});
