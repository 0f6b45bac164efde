import { EventEmitter } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openOutput } from '../../src/runtime/run-output.ts';
import type { RunProgress } from '../../src/runtime/run-spec.ts';
import { capturedCli } from './captured-cli.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-signal-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const STATE: RunProgress = {
  requestsEnded: 1,
  requestsExpected: 10,
  simulatedNs: 1e9,
  durationExpectedNs: null,
  traceReadRatio: null,
};

describe('a run that a signal ends', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s: code %d, one line, the cursor back, nothing half-written', async (signal, exitCode) => {
    const signals = new EventEmitter();
    const argv = ['simulate', 'burst', '--out', join(folder, 'out'), '--decision-log', join(folder, 'log')];
    const { code, stdout, stderr } = await capturedCli(
      argv,
      async (spec, hooks) => {
        const output = await openOutput(spec, '');
        try {
          hooks.progress!(STATE);
          expect(readdirSync(folder)).not.toEqual([]);
          signals.emit(signal, signal);
          hooks.progress!(STATE);
          throw new Error('went on');
        } finally {
          output.abandon();
        }
      },
      true,
      signals,
    );
    expect([code, stdout]).toEqual([exitCode, '']);
    expect(stderr.endsWith(`interrupted (${signal}): nothing was written\n`)).toBe(true);
    expect(stderr.lastIndexOf('\u001b[?25h')).toBeGreaterThan(stderr.lastIndexOf('\u001b[?25l'));
    expect(readdirSync(folder)).toEqual([]);
    expect(signals.eventNames()).toEqual([]);
  });
});
