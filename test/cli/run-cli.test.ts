import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTrace } from '../../replay/open-trace.ts';
import { ENGINE_PROFILES, InvariantError } from '../../src/core/index.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import type { RunOutcome } from '../../src/runtime/run-spec.ts';
import type { WorkloadRequest } from '../../src/simulation/workload.ts';
import { scenarioText } from '../config/scenario-text.ts';
import { capturedCli } from './captured-cli.ts';

let folder = '';
let scenario = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-cli-'));
  scenario = join(folder, 'small.yaml');
  writeFileSync(scenario, scenarioText('targets: [{metric: ttft, statistic: p99, below: 1ns}]'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('help', () => {
  it.each([[], ['serve'], ['hash-key'], ['simulate'], ['replay'], ['generate'], ['scenarios'], ['validate-scenario']])(
    'of twinfer %s shows examples',
    async (...command) => {
      const { code, stdout, stderr } = await capturedCli([...command.filter((word) => word !== undefined), '--help']);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toContain('Examples:\n  $ twinfer ');
    },
  );

  it('names every flag that overrides a scenario', async () => {
    const { stdout } = await capturedCli(['replay', '--help']);
    const flags = [
      '--json',
      '--out',
      '--seed',
      '--engine',
      '--max-num-seqs',
      '--max-num-batched-tokens',
      '--block-size',
      '--num-gpu-blocks',
      '--rate-scale',
      '--time-scale',
      '--window',
      '--limit',
      '--max-prompt-tokens',
      '--max-output-tokens',
      '--skip-bad',
      '--no-fast-forward',
      '--digest',
      '--decision-log',
      '--verify',
      '--check-every-step',
      '--fail-on-targets',
      '--quiet',
      '--scenario',
    ];
    expect(flags.filter((flag) => !stdout.includes(`  ${flag}`))).toEqual([]);
  });

  it('says which version this is', async () => {
    const { code, stdout } = await capturedCli(['--version']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });

  it('names the choices of a flag', async () => {
    const { stdout } = await capturedCli(['simulate', '--help']);
    expect(stdout.replace(/\s+/g, ' ')).toContain('--digest <what> what the digest covers: records');
  });

  it('without a command goes to stderr with code 2', async () => {
    const { code, stdout, stderr } = await capturedCli([]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: twinfer');
  });
});

describe('flags', () => {
  it('override the scenario', async () => {
    const { spec } = await capturedCli([
      'simulate',
      scenario,
      '--seed',
      '9',
      '--engine',
      'vllm-v1',
      '--max-num-seqs',
      '12',
      '--max-num-batched-tokens',
      '333',
      '--block-size',
      '32',
      '--num-gpu-blocks',
      '5000',
      '--rate-scale',
      '2.5',
      '--no-fast-forward',
      '--digest',
      'steps',
      '--check-every-step',
      '--out',
      'o',
      '--decision-log',
      'd.log',
      '--limit',
      '17',
    ]);
    expect(spec).toMatchObject({
      seed: 9,
      engineProfile: 'vllm-v1',
      engine: {
        sequencesMax: 12,
        tokensPerStepMax: 333,
        blockSize: 32,
        blocksTotal: 5000,
        stepsInFlight: 2,
        fastForward: false,
        checkIntervalNs: 0,
      },
      workload: { kind: 'generated', spec: { requests: 17, arrivals: { stages: [{ ratePerS: 10 }] } } },
      output: { directory: 'o', digest: 'steps', decisionLogFile: 'd.log', verifyFile: null },
    });
  });

  it('cut and stretch a trace', async () => {
    const { spec } = await capturedCli([
      'replay',
      'a.csv',
      '--scenario',
      scenario,
      '--window',
      '1min:90',
      '--rate-scale',
      '4',
      '--time-scale',
      '2',
      '--limit',
      '5',
      '--max-prompt-tokens',
      '100',
      '--max-output-tokens',
      '10',
      '--skip-bad',
      '--verify',
      'v.log',
    ]);
    expect(spec).toMatchObject({
      workload: {
        kind: 'trace',
        path: 'a.csv',
        options: {
          rateScale: 4,
          timeScale: 2,
          window: { startS: 60, endS: 90 },
          limit: 5,
          promptTokensMax: 100,
          outputTokensMax: 10,
          skipBad: true,
        },
      },
      output: { verifyFile: 'v.log' },
    });
  });

  it('leave the scenario alone when they are not given', async () => {
    const { spec } = await capturedCli(['simulate', scenario]);
    expect(spec).toMatchObject({
      seed: 1,
      engineProfile: 'twinfer',
      engine: { fastForward: true, checkIntervalNs: ENGINE_PROFILES.twinfer.checkIntervalNs },
      output: { directory: null, digest: 'records', decisionLogFile: null, verifyFile: null },
    });
  });
});

describe('a run', () => {
  it('prints the table to stdout and nothing else there; a pipe sees no progress', async () => {
    const { code, stdout, stderr } = await capturedCli(['simulate', scenario], runSimulation);
    expect([code, stderr]).toEqual([0, '']);
    for (const text of ['TTFT', 'p99', 'injected = ', 'digest ', 'ttft p99', 'FAIL']) expect(stdout).toContain(text);
  });

  it('with --json prints one document with the documented keys', async () => {
    const { code, stdout, stderr } = await capturedCli(['simulate', scenario, '--json'], runSimulation, true);
    expect([code, stderr]).toEqual([0, '']);
    const document = JSON.parse(stdout) as Record<string, unknown>;
    expect(Object.keys(document).filter((key) => key !== 'books' && key !== 'targets')).toEqual([
      'scenario',
      'seed',
      'digest',
      'timing',
      'wallSeconds',
      'simulatedSeconds',
      'requestsPerWallSecond',
      'steps',
      'sequenceSteps',
      'requests',
      'tokens',
      'latencySeconds',
      'throughput',
      'kv',
      'preemptions',
      'capacity',
      'prediction',
    ]);
    expect(document['requests']).toEqual({
      injected: 40,
      completed: 40,
      rejected: 0,
      aborted: 0,
      timedOut: 0,
      failed: 0,
    });
  });

  it('with the same seed gives the same bytes, with another one others', async () => {
    const digest = async (...flags: string[]) => {
      const { stdout } = await capturedCli(['simulate', scenario, '--json', ...flags], runSimulation);
      return (JSON.parse(stdout) as { digest: string }).digest;
    };
    expect(await digest()).toBe(await digest());
    expect(await digest('--no-fast-forward')).toBe(await digest());
    expect(await digest('--seed', '2')).not.toBe(await digest());
  });

  it('fails on missed targets only when asked', async () => {
    expect((await capturedCli(['simulate', scenario], runSimulation)).code).toBe(0);
    expect((await capturedCli(['simulate', scenario, '--fail-on-targets'], runSimulation)).code).toBe(1);
  });

  it('writes its files and says so on stderr', async () => {
    const out = join(folder, 'out');
    const { code, stderr } = await capturedCli(['simulate', scenario, '--out', out], runSimulation);
    expect(code).toBe(0);
    expect(stderr).toContain(`written: ${out}`);
  });

  it('shows progress on a terminal, not with --quiet', async () => {
    const reporting = async (): Promise<RunOutcome> => {
      throw new InvariantError('stop here', 'enough seen');
    };
    const withProgress: typeof runSimulation = async (_spec, hooks) => {
      hooks?.progress?.({
        requestsEnded: 1000,
        requestsExpected: 4000,
        traceReadRatio: null,
        simulatedNs: 65e9,
        durationExpectedNs: null,
      });
      return reporting();
    };
    const shown = await capturedCli(['simulate', scenario], withProgress, true);
    expect(shown.stderr).toContain('25% | 1,000/4,000 requests | simulated 1m05s');
    const quiet = await capturedCli(['simulate', scenario, '--quiet'], withProgress, true);
    expect(quiet.stderr).not.toContain('requests');
  });
});

describe('exit codes', () => {
  const outcomeOf = async (change: Partial<RunOutcome>) => {
    const run: typeof runSimulation = async (spec, hooks) => ({ ...(await runSimulation(spec, hooks)), ...change });
    return capturedCli(['simulate', scenario], run);
  };

  it('1 for a verification that differs, with the place', async () => {
    const { code, stderr } = await outcomeOf({
      verification: { stepsCompared: 12, difference: 'step 13: 3 rows, not 4' },
    });
    expect([code, stderr]).toEqual([1, 'verify: after 12 equal steps: step 13: 3 rows, not 4\n']);
  });

  it('0 for one that does not', async () => {
    const { code, stderr } = await outcomeOf({ verification: { stepsCompared: 12, difference: null } });
    expect([code, stderr]).toEqual([0, 'verify: 12 steps equal\n']);
  });

  it('bad rows that were skipped are counted', async () => {
    const { stderr } = await outcomeOf({ badRows: 3, firstBadRow: 'a.csv:7:1: no' });
    expect(stderr).toBe('bad rows skipped: 3; the first: a.csv:7:1: no\n');
  });

  it('3 for a broken law, with the law, the last steps and the command', async () => {
    const { code, stdout, stderr } = await capturedCli(['simulate', scenario, '--seed', '5'], async () => {
      throw new InvariantError('blocks are conserved', '10 used + 5 free, not 16', ['step 1', 'step 2']);
    });
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr.split('\n')).toEqual([
      'invariant "blocks are conserved" violated: 10 used + 5 free, not 16',
      'last steps, oldest first:',
      '  step 1',
      '  step 2',
      `this is a bug in Twinfer; to repeat it with seed 5: twinfer simulate ${scenario} --seed 5`,
      '',
    ]);
  });
});

describe('a decision log', () => {
  const log = () => join(folder, 'decisions.jsonl');

  it('is reproduced by the same run, and tells a different one apart', async () => {
    const trace = join(folder, 'verify.jsonl');
    await capturedCli(['generate', scenario, '--output', trace, '--quiet']);
    const replay = ['replay', trace, '--scenario', scenario];
    const written = await capturedCli([...replay, '--decision-log', log()], runSimulation);
    expect([written.code, written.stderr]).toEqual([0, expect.stringContaining(log())]);
    const same = await capturedCli([...replay, '--verify', log()], runSimulation);
    expect([same.code, same.stderr]).toEqual([0, expect.stringMatching(/^verify: \d+ steps equal\n$/)]);
    const settings = await capturedCli([...replay, '--verify', log(), '--max-num-seqs', '2'], runSimulation);
    expect([settings.code, settings.stderr]).toEqual([2, expect.stringContaining('engine.sequencesMax')]);
    const lines = readFileSync(log(), 'utf8').split('\n');
    writeFileSync(log(), lines.filter((_, i) => i !== 10).join('\n'));
    const other = await capturedCli([...replay, '--verify', log()], runSimulation);
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/^verify: after \d+ equal steps: /)]);
  });
});

describe('twinfer scenarios', () => {
  it('lists what is bundled', async () => {
    const { code, stdout } = await capturedCli(['scenarios']);
    expect(code).toBe(0);
    expect(stdout).toContain('llama-3.1-8b-h100');
    const json = await capturedCli(['scenarios', '--json']);
    expect((JSON.parse(json.stdout) as { name: string }[]).map(({ name }) => name)).toContain('vllm-v1');
  });
});

describe('twinfer validate-scenario', () => {
  it('says ok for good ones and goes on behind bad ones', async () => {
    const { code, stdout, stderr } = await capturedCli(['validate-scenario', 'burst', 'no.yaml', scenario]);
    expect(code).toBe(2);
    expect(stdout).toBe(`burst: ok\n${scenario}: ok\n`);
    expect(stderr).toBe('no.yaml: no such file; allowed: path of a scenario (YAML)\n');
  });
});

describe('twinfer generate', () => {
  /** All that a run says except when it began: a replay counts from its first request. */
  const figuresOf = async (...argv: string[]) => {
    const { stdout } = await capturedCli([...argv, '--json'], runSimulation);
    const { requests, tokens, steps, sequenceSteps, latencySeconds, kv } = JSON.parse(stdout) as Record<
      string,
      unknown
    >;
    return { requests, tokens, steps, sequenceSteps, latencySeconds, kv };
  };

  it.each(['shared-prefix', 'small'])('%s: the trace replays as the scenario runs', async (name) => {
    const from = name === 'small' ? scenario : name;
    const path = join(folder, `${name}.jsonl.gz`);
    const { code, stderr } = await capturedCli(['generate', from, '--limit', '300', '--output', path]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^\d+ requests written to /);
    const replayed = await figuresOf('replay', path, '--scenario', from);
    expect(replayed).toEqual(await figuresOf('simulate', from, '--limit', '300'));
  });

  it('keeps priorities, time-outs and outputs that end by themselves', async () => {
    const extra = [
      '  max_tokens: 500',
      '  timeout: 30s',
      '  priorities: [{share: 1, priority: 3}, {share: 1, priority: 7}]',
    ];
    const path = join(folder, 'rich.yaml');
    writeFileSync(path, scenarioText(`${extra.join('\n')}\n`));
    const output = join(folder, 'rich.jsonl');
    await capturedCli(['generate', path, '--output', output, '--quiet']);
    const requests: WorkloadRequest[] = [];
    const trace = openTrace(output);
    for (let batch = await trace.next(); batch !== null; batch = await trace.next()) requests.push(...batch);
    trace.close();
    expect(requests).toHaveLength(40);
    expect(new Set(requests.map(({ priority }) => priority))).toEqual(new Set([3, 7]));
    for (const request of requests) {
      expect([request.timeoutNs, request.outputTokensMax, request.impliedOutputTokens]).toEqual([30e9, 500, 20]);
      expect(request.sampling.ignoreEos).toBe(false);
    }
  });

  it('writes to stdout, the same bytes each time', async () => {
    const { stdout } = await capturedCli(['generate', scenario, '--quiet']);
    expect(stdout.trimEnd().split('\n')).toHaveLength(40);
    const path = join(folder, 'again.jsonl.gz');
    await capturedCli(['generate', scenario, '--output', path, '--quiet']);
    expect(gunzipSync(readFileSync(path)).toString()).toBe(stdout);
  });
});
