import { describe, expect, it } from 'vitest';
import { type Machine, machineChecks, thisMachine } from '../../../src/runtime/doctor/machine-checks.ts';

/** A machine that is well, with what a test changes. */
function machine(changes: Partial<Machine> = {}): Machine {
  let ns = 0;
  return {
    nodeVersion: '22.15.0',
    processors: 8,
    memoryAvailableBytes: 8 * 2 ** 30,
    memoryTotalBytes: 16 * 2 ** 30,
    nowNs: () => (ns += 100),
    epochSeconds: () => 1.8e9,
    clockSource: 'tsc',
    ask: async () => null,
    hasNvidiaDevice: false,
    ...changes,
  };
}

async function verdict(check: string, changes: Partial<Machine> = {}): Promise<string> {
  const found = (await machineChecks(machine(changes))).find((each) => each.check === check)!;
  // What is not well says what to do.
  expect(found.advice === '', `${check}: ${found.advice}`).toBe(found.verdict === 'ok');
  return `${found.verdict}: ${found.found}`;
}

describe('checks of the machine', () => {
  it.each<[string, Partial<Machine>, RegExp]>([
    ['node', {}, /^ok: 22\.15\.0$/],
    ['node', { nodeVersion: '20.19.0' }, /^ok/],
    ['node', { nodeVersion: '20.18.9' }, /^fail: 20\.18\.9$/],
    ['node', { nodeVersion: '18.20.1' }, /^fail/],
    ['processors', { processors: 1 }, /^warn: 1 processor$/],
    ['memory', { memoryAvailableBytes: 2e8 }, /^fail: 0\.2 of 16\.0 GiB/],
    ['memory', { memoryAvailableBytes: 8e8 }, /^warn/],
    ['time', {}, /^ok: resolution 100 ns, source tsc$/],
    ['time', { nowNs: () => 5 }, /^fail: the clock stands still/],
    ['time', { epochSeconds: () => 12 }, /^warn: .*the date is wrong$/],
    ['gpu', {}, /^ok: none: simulated backend only$/],
    ['gpu', { hasNvidiaDevice: true }, /^warn: .*without a working nvidia-smi$/],
    ['gpu', { ask: async (program) => (program === 'nvidia-smi' ? 'NVIDIA H100, 580.1' : null) }, /^ok: NVIDIA H100/],
    ['prometheus', {}, /^ok: not here; only/],
    ['prometheus', { ask: async (program) => (program === 'promtool' ? 'promtool, version 2.42.0' : null) }, /2\.42/],
  ])('%s %o', async (check, changes, expected) => {
    expect(await verdict(check, changes)).toMatch(expected);
  });

  it('a clock that goes back and one that is coarse are seen', async () => {
    let back = 1000;
    expect(await verdict('time', { nowNs: () => (back -= 10) })).toMatch(/^fail: the monotonic clock went back/);
    let looks = 0;
    expect(await verdict('time', { nowNs: () => 1e6 * Math.floor(looks++ / 50) })).toMatch(
      /^warn: resolution 1000000 ns/,
    );
  });

  it('read this machine without failing', async () => {
    const findings = await machineChecks(thisMachine());
    expect(findings.map(({ check }) => check)).toEqual(['node', 'processors', 'memory', 'time', 'gpu', 'prometheus']);
    expect(findings[0]!.verdict).toBe('ok');
  });
});
