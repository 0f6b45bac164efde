import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseDocument } from 'yaml';
import { median } from './measure.ts';
import { circumstances, inWords, short, table } from './report.ts';

// How fast whole runs are, each in a fresh process of the built command line: `npm run bench:replay`.
//
//   --data DIR      folder that holds traces/azure-2023 (default: TWINFER_DATA); without it only the generated run is timed
//   --processes N   fresh processes per run (default 5); figures are their medians
//   --cli FILE      another build of the command line (default: dist/src/cli/main.js, built when it is missing)
//   --only TEXT     runs whose name contains TEXT
//   --json          one JSON document instead of the table
//
// Azure's conversation trace of 2023 (19,366 requests in 58 minutes) on Llama-3.1-8B, one H100, 30,208 blocks; and a
// generated load, for the memory that a long run takes. Bars are printed beside the figures and fail nothing.

const root = fileURLToPath(new URL('..', import.meta.url));
const SCENARIO = `${root}scenarios/llama-3.1-8b-h100.yaml`;
const TRACE = 'traces/azure-2023/AzureLLMInferenceTrace_conv.csv';
const GENERATED_REQUESTS = 1_000_000;
/** Runs before the command line in its process: reports processor time (us) and peak memory (KiB) on the third channel. */
const WATCH = `import { writeSync } from 'node:fs';
process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  writeSync(3, JSON.stringify({ cpuUs: userCPUTime + systemCPUTime, maxRssKib: maxRSS }));
});`;

type FigureName = 'requests/s' | 'million sequence-steps/s' | 'peak memory, MB';

interface Run {
  readonly name: string;
  readonly arguments: readonly string[];
  readonly figure: FigureName;
  readonly bar: number;
}

/** What one process reported. */
interface Outcome {
  readonly wallSeconds: number;
  /** Of the whole process, start-up and compiler threads included. */
  readonly cpuSeconds: number;
  readonly peakMb: number;
  readonly requests: number;
  readonly sequenceSteps: number;
  readonly preemptions: number;
  readonly digest: string;
}

/** The part of the command line's JSON document that is read here. */
interface Summary {
  readonly digest: string;
  readonly wallSeconds: number;
  readonly sequenceSteps: number;
  readonly requests: { readonly injected: number };
  readonly preemptions: { readonly memoryPressure: number; readonly priority: number };
}

interface Result extends Run {
  readonly value: number;
  readonly verdict: 'ok' | 'missed';
  readonly outcomes: readonly Outcome[];
}

const { values: flags } = parseArgs({
  options: {
    data: { type: 'string', default: process.env['TWINFER_DATA'] ?? '' },
    processes: { type: 'string', default: '5' },
    cli: { type: 'string', default: `${root}dist/src/cli/main.js` },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
});
const processes = Number(flags.processes);
if (!(Number.isInteger(processes) && processes >= 1)) {
  throw new RangeError(`--processes: ${JSON.stringify(flags.processes)}; an integer of at least 1`);
}
const folder = mkdtempSync(`${tmpdir()}/twinfer-bench-`);
try {
  if (!existsSync(flags.cli)) spawnSync(process.execPath, [`${root}scripts/build.mjs`], { stdio: 'inherit' });
  const where = circumstances();
  const runs = [...replays(), generated()].filter((candidate) => candidate.name.includes(flags.only));
  const results = runs.map(take);
  if (flags.json) console.log(JSON.stringify({ ...where, processes, results }, null, 2));
  else console.log(`${inWords(where)}\nMedians of ${processes} fresh processes.\n${report(results)}`);
} finally {
  rmSync(folder, { recursive: true });
}

function replays(): Run[] {
  const trace = `${flags.data}/${TRACE}`;
  if (flags.data === '' || !existsSync(trace)) {
    console.error(`replays are left out: ${flags.data === '' ? 'TWINFER_DATA is not set' : `${trace} does not exist`}`);
    return [];
  }
  const base = ['replay', trace, '--scenario', SCENARIO, '--num-gpu-blocks', '30208'];
  const stepping = [...base, '--no-fast-forward'];
  return [
    { name: 'Azure conversations', arguments: base, figure: 'requests/s', bar: 100_000 },
    { name: '--no-fast-forward', arguments: stepping, figure: 'requests/s', bar: 40_000 },
    {
      name: '--no-fast-forward --rate-scale 10',
      arguments: [...stepping, '--rate-scale', '10'],
      figure: 'million sequence-steps/s',
      bar: 15,
    },
  ];
}

/** The scenario's own load, for a million requests instead of ten minutes. */
function generated(): Run {
  const scenario = parseDocument(readFileSync(SCENARIO, 'utf8'));
  scenario.set('limits', { requests: GENERATED_REQUESTS });
  const path = `${folder}/million-requests.yaml`;
  writeFileSync(path, scenario.toString());
  return { name: 'generated, 1,000,000 requests', arguments: ['simulate', path], figure: 'peak memory, MB', bar: 400 };
}

function take(run: Run): Result {
  // Memory does not vary as speed does, and the run is long.
  const count = run.figure === 'peak memory, MB' ? 1 : processes;
  const outcomes = Array.from({ length: count }, () => outcomeOf(run));
  const value = median(outcomes.map((outcome) => figureOf(outcome, run.figure)));
  const verdict = (run.figure === 'peak memory, MB' ? value <= run.bar : value >= run.bar) ? 'ok' : 'missed';
  return { ...run, value, verdict, outcomes };
}

function outcomeOf(run: Run): Outcome {
  const watch = `data:text/javascript,${encodeURIComponent(WATCH)}`;
  const command = ['--import', watch, flags.cli, ...run.arguments, '--json', '--quiet'];
  const child = spawnSync(process.execPath, command, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  if (child.status !== 0) throw new Error(`${run.name}: exit code ${child.status ?? child.signal}`);
  const summary = JSON.parse(child.stdout) as Summary;
  const usage = JSON.parse(String(child.output[3])) as { readonly cpuUs: number; readonly maxRssKib: number };
  return {
    wallSeconds: summary.wallSeconds,
    cpuSeconds: usage.cpuUs / 1e6,
    peakMb: (usage.maxRssKib * 1024) / 1e6,
    requests: summary.requests.injected,
    sequenceSteps: summary.sequenceSteps,
    preemptions: summary.preemptions.memoryPressure + summary.preemptions.priority,
    digest: summary.digest,
  };
}

function figureOf(outcome: Outcome, figure: FigureName): number {
  switch (figure) {
    case 'requests/s':
      return outcome.requests / outcome.wallSeconds;
    case 'million sequence-steps/s':
      return outcome.sequenceSteps / outcome.wallSeconds / 1e6;
    case 'peak memory, MB':
      return outcome.peakMb;
  }
}

function report(results: readonly Result[]): string {
  const head = ['run', 'figure', 'value', 'bar', '', 'best', 'wall s', 'CPU s', 'peak MB', 'preemptions'];
  const rows = results.map(({ name, figure, value, bar, verdict, outcomes }) => {
    const values = outcomes.map((outcome) => figureOf(outcome, figure));
    const best = figure === 'peak memory, MB' ? Math.min(...values) : Math.max(...values);
    const middle = (of: (outcome: Outcome) => number): string => short(median(outcomes.map(of)));
    return [
      name,
      figure,
      short(value),
      short(bar),
      verdict,
      short(best),
      middle((outcome) => outcome.wallSeconds),
      middle((outcome) => outcome.cpuSeconds),
      middle((outcome) => outcome.peakMb),
      middle((outcome) => outcome.preemptions),
    ];
  });
  return table(head, rows);
}
