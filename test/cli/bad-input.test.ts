import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { scenarioText } from '../config/scenario-text.ts';
import { capturedCli } from './captured-cli.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** The one line that bad input gets, with exit code 2 and nothing on stdout. */
async function complaint(...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await capturedCli(argv, runSimulation);
  expect([stdout, code]).toEqual(['', 2]);
  expect(stderr.endsWith('\n')).toBe(true);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  return stderr.trimEnd();
}

describe('bad input ends with code 2 and one line that names the place', () => {
  it('a scenario that does not exist', async () => {
    expect(await complaint('simulate', 'no/such.yaml')).toBe(
      'no/such.yaml: no such file; allowed: path of a scenario (YAML)',
    );
  });

  it('a bare word that is no bundled scenario', async () => {
    expect(await complaint('simulate', 'llama-3.1-8b')).toMatch(
      /^llama-3.1-8b: no such file; allowed: path of a scenario \(YAML\), or one of burst, .*llama-3.1-8b-h100, /,
    );
  });

  it('a bad line of a file of lengths, with and without flags', async () => {
    const lengths = file('lengths.csv', 'tokens,weight\n10,1\nfoo,3\n');
    const path = file(
      'lengths.yaml',
      scenarioText('', ['prompt_tokens: 100', 'prompt_tokens: {distribution: empirical, file: lengths.csv}']),
    );
    const message = `${path}:8:79: workload.content.prompt_tokens.file: ${lengths}:3:1: "foo,3" is not allowed; a line is`;
    expect(await complaint('simulate', path)).toContain(message);
    expect(await complaint('simulate', path, '--max-num-seqs', '8')).toContain(message);
  });

  it.each([
    ['an unknown key', 'sed: 1', ':9:1: sed: unknown key; allowed: '],
    [
      'a wrong type',
      'engine: {max_num_seqs: many}',
      ':9:24: engine.max_num_seqs: "many" is not allowed; allowed: an integer in [1, 65536]',
    ],
    [
      'a negative number',
      'engine: {block_size: -16}',
      ':9:22: engine.block_size: -16 is not allowed; allowed: an integer in [1, 4096]',
    ],
    [
      'no unit',
      'limits: {duration: ten}',
      ':9:20: limits.duration: "ten" is not allowed; allowed: a number with a unit',
    ],
    ['YAML that is none', 'engine: {', ':10:1: not YAML: '],
    [
      'an impossible fault',
      'faults: [{kind: slow, from: 2s, to: 1s, factor: 2}]',
      ':9:37: faults[0].to: 1s is not allowed; allowed: later than from (2s)',
    ],
  ])('%s in a scenario', async (_what, line, message) => {
    const path = file('bad.yaml', scenarioText(`${line}\n`));
    expect(await complaint('simulate', path)).toContain(path + message);
  });

  it('an unknown model', async () => {
    const path = file('model.yaml', scenarioText('', ['llama-3.1-8b', 'llama-5-1t']));
    expect(await complaint('simulate', path)).toContain(
      `${path}:3:15: model.name: model "llama-5-1t": name: unknown; did you mean`,
    );
  });

  it('an unknown device', async () => {
    const path = file('device.yaml', scenarioText('', ['h100-sxm-80gb', 'h1000']));
    expect(await complaint('simulate', path)).toContain(
      `${path}:4:16: device.name: device "h1000": unknown; known: H100-SXM-80GB`,
    );
  });

  it('a model that does not fit', async () => {
    const path = file('memory.yaml', scenarioText('', ['llama-3.1-8b', 'llama-3.1-70b']));
    expect(await complaint('simulate', path)).toMatch(
      /memory.yaml:4:9: device: llama-3.1-70b does not fit on 1 x H100/,
    );
  });

  it('a trace that does not exist', async () => {
    expect(await complaint('replay', 'no/such.csv', '--scenario', 'llama-3.1-8b-h100')).toBe(
      'no/such.csv: no such file; allowed: a readable trace file',
    );
  });

  it('a bad row of a trace', async () => {
    const rows =
      '{"arrival_s": 0, "prompt_tokens": 5, "output_tokens": 2}\n{"arrival_s": 1, "prompt_tokens": -5, "output_tokens": 2}\n';
    const path = file('trace.jsonl', rows);
    expect(await complaint('replay', path, '--scenario', 'llama-3.1-8b-h100')).toMatch(/trace.jsonl:2:\d+: .*-5/);
  });

  it.each([
    [['--max-num-seqs', 'abc'], '--max-num-seqs: "abc" is not allowed; allowed: an integer in [1, 65536]'],
    [['--max-num-seqs', '0'], '--max-num-seqs: "0" is not allowed; allowed: an integer in [1, 65536]'],
    [
      ['--max-num-batched-tokens=-1'],
      '--max-num-batched-tokens: "-1" is not allowed; allowed: an integer in [1, 16777216]',
    ],
    [['--block-size', '1.5'], '--block-size: "1.5" is not allowed; allowed: an integer in [1, 4096]'],
    [['--num-gpu-blocks', ''], '--num-gpu-blocks: "" is not allowed; allowed: an integer in [1, 268435456]'],
    [['--seed', '0x10'], '--seed: "0x10" is not allowed; allowed: an integer in [0, 4294967295]'],
    [['--rate-scale', '0'], '--rate-scale: "0" is not allowed; allowed: a number in [0.000001, 1000000]'],
    [['--time-scale', 'NaN'], '--time-scale: "NaN" is not allowed; allowed: a number in [0.000001, 1000000]'],
    [['--limit', '1e99'], '--limit: "1e99" is not allowed; allowed: an integer in [1, 2147483648]'],
    [['--engine', 'sglang'], '--engine: "sglang" is not allowed; allowed: twinfer, vllm-v1'],
    [['--digest', 'tokens'], '--digest: "tokens" is not allowed; allowed: records, steps'],
    [['--window', '5'], '--window: "5" is not allowed; allowed: START:END, seconds or durations'],
    [['--window', '10:5'], '--window: "10:5" is not allowed; allowed: a START before END'],
    [['--jso'], "unknown option '--jso' (Did you mean --json?)"],
    [['--seed'], "option '--seed <n>' argument missing"],
    [['extra'], 'too many arguments'],
    [['--skip-bad'], '--skip-bad: true is not allowed; only with a trace: this workload is generated'],
    [['--num-gpu-blocks', '200000000'], '--num-gpu-blocks 200000000: llama-3.1-8b does not fit on 1 x H100-SXM-80GB'],
  ])('the flag %j', async (flags, message) => {
    expect(await complaint('simulate', 'llama-3.1-8b-h100', ...flags)).toContain(message);
  });

  it('a rate for a closed loop', async () => {
    expect(await complaint('simulate', 'closed-loop', '--rate-scale', '2')).toBe(
      '--rate-scale: 2 is not allowed; only 1 with closed-loop arrivals: they have no rate',
    );
  });

  it('a closed loop as a trace', async () => {
    expect(await complaint('generate', 'closed-loop')).toBe(
      'scenario: closed-loop is not allowed; allowed: open-loop arrivals, a closed loop has no trace',
    );
  });

  it('an unknown command, a missing scenario', async () => {
    expect(await complaint('simulat', 'x')).toBe("unknown command 'simulat' (Did you mean simulate?)");
    expect(await complaint('replay', 'x')).toBe("required option '--scenario <scenario>' not specified");
    expect(await complaint('simulate')).toBe("missing required argument 'scenario'");
  });

  it('a folder for results that cannot be made, a file that cannot be written', async () => {
    const blocked = join(file('blocked', ''), 'out');
    const path = file('ok.yaml', scenarioText());
    expect(await complaint('simulate', path, '--out', blocked)).toContain(
      `${blocked}: part of the path is no directory`,
    );
    expect(await complaint('generate', path, '--output', blocked)).toContain(
      `${blocked}: part of the path is no directory`,
    );
  });

  it.each(['half.jsonl', 'half.jsonl.gz'])('a bad row behind many good ones leaves no half of %s', async (name) => {
    const good = '{"arrival_s": 0, "prompt_tokens": 5, "output_tokens": 2}\n';
    const rows = file('rows.jsonl', `${good.repeat(5000)}junk\n`);
    const path = file(
      'rows.yaml',
      `${scenarioText().split('workload:')[0]}workload: {kind: trace, path: rows.jsonl}\n`,
    );
    const output = join(folder, name);
    const before = readdirSync(folder);
    expect(await complaint('generate', path, '--output', output)).toContain(`${rows}:5001:1: value is junk`);
    expect(readdirSync(folder)).toEqual(before);
  });

  it('a file where the folder for results should be', async () => {
    const taken = file('taken', '');
    const path = file('ok.yaml', scenarioText());
    expect(await complaint('simulate', path, '--out', taken)).toContain(taken);
  });

  it('a scenario with several problems gets a line for each', async () => {
    const path = file('two.yaml', scenarioText('seed: -1\nfoo: 2'));
    const { code, stderr } = await capturedCli(['validate-scenario', path]);
    expect(code).toBe(2);
    expect(stderr.trimEnd().split('\n')).toEqual([
      `${path}:9:7: seed: -1 is not allowed; allowed: an integer in [0, 4294967295]`,
      expect.stringContaining(`${path}:10:1: foo: unknown key`),
    ]);
  });
});
