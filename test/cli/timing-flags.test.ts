import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import type { SustainableRate } from '../../src/runtime/sustainable-rate.ts';
import { capturedCli } from './captured-cli.ts';

describe('--timing and --host', () => {
  const timing = async (...flags: string[]) =>
    (await capturedCli(['simulate', 'llama-3.1-8b-h100', ...flags])).spec?.timing;

  it('change where the times of a scenario come from', async () => {
    expect(await timing()).toMatchObject({ model: 'calibrated', host: 'twinfer' });
    expect(await timing('--timing', 'roofline')).toMatchObject({ model: 'roofline', host: 'twinfer' });
    expect(await timing('--host', 'vllm-0.15')).toMatchObject({ model: 'calibrated', host: 'vllm-0.15' });
    const profile = 'src/backends/simulated/profiles/vllm-0.15-host.json';
    expect(await timing('--host', profile)).toMatchObject({ host: resolve(profile) });
  });

  it.each([
    [['--timing', 'fast'], '--timing: "fast" is not allowed; allowed: calibrated, roofline'],
    [['--timing', 'roofline', '--host', 'vllm-0.15'], '--timing roofline --host vllm-0.15: vllm-0.15 is not allowed'],
    [['--host', 'nowhere.json'], /^--host .*nowhere\.json: .* does not exist; allowed: vllm-0\.15, twinfer, none/],
  ])('refuse %j', async (flags, message) => {
    const { code, stderr } = await capturedCli(['simulate', 'llama-3.1-8b-h100', ...flags]);
    expect(code).toBe(2);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(message);
  });
});

describe('twinfer saturate', () => {
  it('prints the rate and the trials around it, as a table or as JSON', async () => {
    const command = ['saturate', 'closed-loop', '--max-num-seqs', '4'];
    const json = await capturedCli([...command, '--json'], runSimulation);
    expect([json.code, json.stderr]).toEqual([0, '']);
    const found = JSON.parse(json.stdout) as SustainableRate;
    expect(found.requestsPerSecond).toBeGreaterThan(1);
    const { stdout } = await capturedCli(command, runSimulation);
    expect(stdout).toContain(`sustains ${found.requestsPerSecond.toPrecision(3)} requests/s`);
    expect(stdout.match(/saturated: the queue grows/g)).toHaveLength(
      found.trials.filter((each) => each.saturated).length,
    );
  });
});
