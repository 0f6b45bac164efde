import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ScenarioOverrides } from '../../src/config/resolve-scenario.ts';
import { InputError } from '../../src/runtime/input-error.ts';
import { runSimulation } from '../../src/runtime/run-simulation.ts';
import { RECORD_COLUMNS } from '../../src/simulation/report/request-records.ts';
import { bundled, ran, SAMPLE, scenario, scratch } from './scenarios.ts';

const folder = scratch();
let next = 0;
const fresh = (name = '') => join(folder, `${next++}${name}`);

const replay = (output: ScenarioOverrides['output'], more: ScenarioOverrides = {}) =>
  bundled('llama-3.1-8b-h100', { tracePath: SAMPLE, workload: { requestsMax: 200 }, ...more, output });

const plain = await ran(replay({}));

/** A run that fails as soon as its trace is read. */
const broken = () => {
  const trace = fresh('.jsonl');
  writeFileSync(
    trace,
    '{"arrival_s": 0, "prompt_tokens": 5, "output_tokens": 3}\n{"arrival_s": 1, "prompt_tokens": 0}\n',
  );
  return trace;
};

describe('--out', () => {
  it('writes records, time series, summary and report, and changes nothing in the run', async () => {
    const directory = fresh();
    const { summary, files } = await ran(replay({ directory }));
    expect(summary.digest).toBe(plain.summary.digest);
    expect(files).toEqual(
      ['requests.csv', 'timeseries.csv', 'summary.json', 'report.html', 'dashboard.html'].map((name) =>
        join(directory, name),
      ),
    );
    expect(readdirSync(directory).sort()).toEqual([
      'dashboard.html',
      'report.html',
      'requests.csv',
      'summary.json',
      'timeseries.csv',
    ]);
    expect(JSON.parse(readFileSync(files[2]!, 'utf8'))).toEqual(summary);
    const records = readFileSync(files[0]!, 'utf8').trimEnd().split('\n');
    expect(records[0]).toBe(RECORD_COLUMNS.join(','));
    expect(records).toHaveLength(1 + summary.requests.injected);
  });

  it('writes a line per bucket of the time series, empty where nothing was observed', async () => {
    const directory = fresh();
    const { run } = await ran(replay({ directory }));
    const [head, ...rows] = readFileSync(join(directory, 'timeseries.csv'), 'utf8').trimEnd().split('\n');
    const columns = head!.split(',');
    const { buckets, bucketSeconds, arrivals, ttftMeanSeconds } = run.timeSeries;
    expect(rows).toHaveLength(buckets);
    const column = (name: string) => rows.map((row) => row.split(',')[columns.indexOf(name)]);
    expect(column('startSeconds')).toEqual(Array.from({ length: buckets }, (_, i) => String(i * bucketSeconds)));
    expect(column('arrivals').map(Number)).toEqual(arrivals);
    expect(column('ttftMeanSeconds')).toEqual(ttftMeanSeconds.map((value) => (value === null ? '' : String(value))));
  });

  it('writes a report that needs nothing else and says how it was made', async () => {
    const directory = fresh();
    await runSimulation(replay({ directory }), { command: 'twinfer replay x --scenario <y>' });
    const page = readFileSync(join(directory, 'report.html'), 'utf8');
    expect(page).toContain('twinfer replay x --scenario &lt;y&gt;');
    expect(page).toContain('uPlot');
    expect(page).not.toMatch(/<(script|link|img)[^>]+(src|href)=/);
    expect(page).toContain('blocksTotal');
    expect(page).toContain('conversation.jsonl.gz');
  });

  it('replaces the files of the run before and leaves others alone', async () => {
    const directory = fresh();
    mkdirSync(directory);
    writeFileSync(join(directory, 'summary.json'), 'old');
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await ran(replay({ directory }));
    expect(readFileSync(join(directory, 'summary.json'), 'utf8')).toContain('"scenario"');
    expect(readFileSync(join(directory, 'notes.txt'), 'utf8')).toBe('mine');
  });
});

describe('a run that fails', () => {
  it('leaves no file and no folder behind', async () => {
    const directory = fresh('/a/b');
    const log = fresh('.log');
    const spec = replay({ directory, decisionLogFile: log }, { tracePath: broken() });
    await expect(runSimulation(spec)).rejects.toThrow(/prompt_tokens/);
    expect(existsSync(log)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
    expect(existsSync(join(directory, '..', '..'))).toBe(false);
  });

  it('leaves the files of the run before as they were', async () => {
    const directory = fresh();
    await ran(replay({ directory }));
    const before = readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'));
    await expect(runSimulation(replay({ directory }, { tracePath: broken() }))).rejects.toThrow();
    expect(readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'))).toEqual(before);
  });
});

describe('output that cannot be written', () => {
  const file = () => {
    const path = fresh();
    writeFileSync(path, '');
    return path;
  };
  const directory = () => {
    const path = fresh();
    mkdirSync(path);
    return path;
  };

  it.each([
    ['a file as folder', () => ({ directory: file() }), /^--out .*: is a file, not a directory$/],
    ['a folder in a file', () => ({ directory: join(file(), 'x') }), /^--out .*: part of the path is no directory$/],
    ['a folder in /proc', () => ({ directory: '/proc/twinfer' }), /^--out \/proc\/twinfer: no such file or directory$/],
    ['a log in no folder', () => ({ decisionLogFile: fresh('/x') }), /^--decision-log .*: no such file or directory$/],
    ['a folder as log', () => ({ decisionLogFile: directory() }), /^--decision-log .*: is a directory, not a file$/],
    ['no log to compare', () => ({ verifyFile: fresh() }), /^--verify .*: no such file or directory$/],
    ['a folder to compare', () => ({ verifyFile: directory() }), /^--verify .*: is a directory, not a file$/],
    ['a table to compare', () => ({ verifyFile: 'package.json' }), /^--verify .*: is no decision log of Twinfer$/],
  ])('is told in one line before the run: %s', async (_what, output, message) => {
    const failure = runSimulation(replay(output()));
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toBeInstanceOf(InputError);
  });
});

describe('--decision-log and --verify', () => {
  it.each(['.log', '.log.gz'])('a run reproduces its own log step for step: %s', async (ending) => {
    const log = fresh(ending);
    const logged = await ran(replay({ decisionLogFile: log }));
    expect(logged.files).toEqual([log]);
    expect(logged.summary.digest).toBe(plain.summary.digest);
    expect(logged.summary.steps).toBe(plain.summary.steps);
    const again = fresh(ending);
    const { verification } = await ran(replay({ verifyFile: log, decisionLogFile: again }));
    expect(verification).toEqual({ stepsCompared: plain.summary.steps, difference: null });
    expect(readFileSync(again).equals(readFileSync(log))).toBe(true);
  });

  it('the gzip file holds the same lines', async () => {
    const packed = fresh('.gz');
    const text = fresh('.log');
    await ran(replay({ decisionLogFile: packed }));
    await ran(replay({ decisionLogFile: text }));
    expect(gunzipSync(readFileSync(packed)).equals(readFileSync(text))).toBe(true);
    expect(readFileSync(packed).length).toBeLessThan(readFileSync(text).length / 3);
  });

  it('fast-forward does not matter, and nobody is compared unasked', async () => {
    const log = fresh();
    await ran(replay({ decisionLogFile: log }));
    const { verification } = await ran(replay({ verifyFile: log }, { engine: { fast_forward: false } }));
    expect(verification?.difference).toBeNull();
    expect(plain.verification).toBeNull();
  });

  it('the first difference is reported; the run goes on and its files are written', async () => {
    const log = fresh();
    await ran(replay({ decisionLogFile: log }));
    const lines = readFileSync(log, 'utf8').split('\n');
    const at = lines.findIndex((line) => line.includes('"finished"'));
    writeFileSync(log, lines.with(at, lines[at]!.replace('"length"', '"stop"')).join('\n'));
    const directory = fresh();
    const { verification, summary } = await ran(replay({ verifyFile: log, directory }));
    expect(verification!.difference).toMatch(/^step \d+ at [\d.]+ s: finished: expected .*"stop".*, came .*"length"/);
    expect(summary.digest).toBe(plain.summary.digest);
    expect(readdirSync(directory)).toHaveLength(5);
  });

  it('a log that was cut off differs where it ends', async () => {
    const log = fresh();
    await ran(replay({ decisionLogFile: log }));
    writeFileSync(log, readFileSync(log, 'utf8').split('\n').slice(0, 100).join('\n'));
    const { verification } = await ran(replay({ verifyFile: log }));
    expect(verification!.difference).toMatch(/the log ends here/);
    writeFileSync(`${log}.gz`, readFileSync(log).subarray(0, 50));
    await expect(runSimulation(replay({ verifyFile: `${log}.gz` }))).rejects.toThrow(/is no decision log/);
  });

  it('a gzip log that ends too early is told as such', async () => {
    const log = fresh('.gz');
    await ran(replay({ decisionLogFile: log }));
    writeFileSync(log, readFileSync(log).subarray(0, -20));
    await expect(runSimulation(replay({ verifyFile: log }))).rejects.toThrow(
      /^--verify .*: is gzip that ends too early$/,
    );
  });

  it.each([
    ['the seed', {}, { seed: 5 }, /seed is 1 in the log and 5 in this run/],
    [
      'an engine setting',
      {},
      { engine: { max_num_seqs: 7 } },
      /engine\.sequencesMax is 256 in the log and 7 in this run/,
    ],
    [
      'the profile',
      {},
      { engine: { profile: 'vllm-v1' } },
      /engineProfile is "twinfer" in the log and "vllm-v1" in this run/,
    ],
    [
      'the arrival rate',
      {},
      { workload: { rateScale: 2, requestsMax: 200 } },
      /workload\.options\.rateScale is 1 in the log/,
    ],
  ] as const)('a log of another run is refused: %s', async (_what, first, second, message) => {
    const log = fresh();
    await ran(replay({ decisionLogFile: log }, first));
    await expect(runSimulation(replay({ verifyFile: log }, second))).rejects.toThrow(message);
  });

  it('a trace of another content is refused, one of another name is not', async () => {
    const row = (tokens: number) => `{"arrival_s": 0, "prompt_tokens": ${tokens}, "output_tokens": 3}\n`;
    const [one, same, other, log] = [fresh('.jsonl'), fresh('.jsonl'), fresh('.jsonl'), fresh('.log')];
    writeFileSync(one, row(5));
    writeFileSync(same, row(5));
    writeFileSync(other, row(6));
    await ran(replay({ decisionLogFile: log }, { tracePath: one }));
    expect((await ran(replay({ verifyFile: log }, { tracePath: same }))).verification?.difference).toBeNull();
    await expect(runSimulation(replay({ verifyFile: log }, { tracePath: other }))).rejects.toThrow(/workload\.sha256/);
  });

  it('generated workloads can be verified too', async () => {
    const log = fresh();
    const { summary } = await ran(scenario({}, { output: { decisionLogFile: log } }));
    const { verification } = await ran(scenario({}, { output: { verifyFile: log } }));
    expect(verification).toEqual({ stepsCompared: summary.steps, difference: null });
  });
});
