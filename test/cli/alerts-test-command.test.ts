import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { evaluateAlerts } from '../../src/observability/alerts/index.ts';
import type { AlertsTest } from '../../src/runtime/alerts-test/alerts-test.ts';
import { readRecording } from '../../src/runtime/metrics-recording.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { scratch } from '../runtime/scenarios.ts';
import { capturedCli } from './captured-cli.ts';

const folder = scratch();
const GPU_FAILURE = 'scenarios/alerts/gpu-failure.yaml';

/** The GPU's failure, with other expectations. */
function expecting(file: string, alerts: string): string {
  const text = readFileSync(GPU_FAILURE, 'utf8').replace(/^alerts:\n.*\n.*\n/m, `alerts: ${alerts}\n`);
  const path = join(folder, file);
  writeFileSync(path, text);
  return path;
}

const run = (...argv: string[]) => capturedCli(['alerts', 'test', ...argv], runSimulation);

describe('twinfer alerts test', () => {
  it('prints what fired, how well it did and that all was as expected', async () => {
    const { code, stdout, stderr } = await run(GPU_FAILURE);
    expect([code, stderr.includes('judged in')]).toEqual([0, true]);
    expect(stdout).toMatch(/GPUFailure gpu_id=0 │ critical │ 00:04:00 │ 00:04:30 │ 00:06:00 │ 1min30s/);
    expect(stdout).toMatch(/GPUFailure │ 1 +│ 1 \(1min30s\) │ 100 % +│ 100 % +│ 30s/);
    expect(stdout).toContain('All 19 expectations met.');
  });

  it('ends with 1 and names what fired and must not, or must and did not', async () => {
    const path = expecting('wrong.yaml', '{must_fire: [EngineDown], must_not_fire: [GPUFailure, HighTTFT]}');
    const { code, stdout } = await run(path, '--quiet');
    expect(code).toBe(1);
    expect(stdout).toContain('2 of 3 expectations NOT met:');
    expect(stdout).toContain('EngineDown must fire and did not');
    expect(stdout).toContain('GPUFailure must not fire and did');
  });

  it('writes the same as data and as a page', async () => {
    const out = join(folder, 'out');
    const { code, stdout, stderr } = await run(GPU_FAILURE, '--json', '--out', out);
    expect([code, stderr]).toEqual([0, '']);
    const result = JSON.parse(stdout) as AlertsTest;
    expect(result.intervals).toMatchObject([{ alert: 'GPUFailure', firingSeconds: 270, endSeconds: 360 }]);
    expect(JSON.parse(readFileSync(join(out, 'alerts.json'), 'utf8'))).toEqual(result);
    const page = readFileSync(join(out, 'alerts.html'), 'utf8');
    expect(page).toContain('GPUFailure');
    expect(page).not.toMatch(/(src|href)="https?:/);
  });

  it('judges a recording that simulate has written, without knowing what really happened', async () => {
    const recording = join(folder, 'metrics.jsonl.gz');
    const simulated = await capturedCli(['simulate', GPU_FAILURE, '--quiet', '--metrics', recording], runSimulation);
    expect(simulated.code).toBe(0);
    const { code, stdout } = await run(recording, '--json');
    const result = JSON.parse(stdout) as AlertsTest;
    expect([code, result.judgements, result.expectations]).toEqual([0, null, []]);
    expect(result.intervals).toMatchObject([{ alert: 'GPUFailure', firingSeconds: 270 }]);
    expect(evaluateAlerts(await readRecording(recording)).intervals).toHaveLength(1);
  });

  it('refuses expectations that cannot be', async () => {
    const unknown = await run(expecting('unknown.yaml', '{must_fire: [HighTTFTT]}'));
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('alerts.must_fire[0]')]);
    const both = await run(expecting('both.yaml', '{must_fire: [HighTTFT], must_not_fire: [HighTTFT]}'));
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('allowed: alerts that are not in must_fire')]);
  });
});

describe('--metrics', () => {
  it('writes OpenMetrics or a recording by the ending of the file', async () => {
    const file = join(folder, 'metrics.om');
    const { code, stderr } = await capturedCli(['simulate', GPU_FAILURE, '--metrics', file], runSimulation);
    expect([code, stderr]).toEqual([0, expect.stringContaining(`written: ${file}`)]);
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('gpu_health_status{job="engine",instance="twinfer",gpu_id="0"} 0 240\n');
    expect(text.endsWith('# EOF\n')).toBe(true);
  });

  it('refuses another ending, and leaves no file of a run that does not come to its end', async () => {
    const wrong = await capturedCli(['simulate', GPU_FAILURE, '--metrics', join(folder, 'metrics.csv')], runSimulation);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('allowed: .om, .prom or .txt')]);
    const file = join(folder, 'unfinished.om');
    await capturedCli(['simulate', GPU_FAILURE, '--metrics', file]);
    expect(existsSync(file)).toBe(false);
  });
});
