import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Engine, EngineEvents } from '../core/index.ts';
import { DecisionLog } from '../observability/decision-log.ts';
import { decisionLogHeader } from '../observability/decision-log-format.ts';
import { DecisionLogVerifier, headerMismatch } from '../observability/decision-log-verifier.ts';
import { htmlReport } from '../simulation/report/html-report.ts';
import { RequestRecords } from '../simulation/report/request-records.ts';
import type { RecordedRun } from '../simulation/run-recorder.ts';
import type { RunSummary } from '../simulation/run-summary.ts';
import type { TimeSeries } from '../simulation/time-series.ts';
import { describeRun } from './describe-run.ts';
import { InputError } from './input-error.ts';
import { LineReader } from './line-reader.ts';
import { MetricsObserver } from './metrics-observer.ts';
import { OutputFiles } from './output-files.ts';
import { recordedDashboard } from './recorded-dashboard.ts';
import { reportSettings } from './report-settings.ts';
import type { OutputSpec, RunObserver, RunSpec, Verification } from './run-spec.ts';

/** What a run leaves behind: files, all or none of them, and the verdict on a decision log. */
export interface RunOutput {
  /** Told of every finished sequence; null = nobody wants the records. */
  readonly records: RequestRecords | null;
  /** Must see every step on its own; null = no decision log is written or compared. */
  readonly decisions: EngineEvents | null;
  /** Who else must listen to the run. */
  readonly observers: readonly RunObserver[];
  /** Before the first event. */
  attach(engine: Engine): void;
  /** Now and then between steps: compares what has come so far. null = there is nothing to wait for. */
  drain(): Promise<void> | null;
  /** The run has ended well: writes what is left; the files get their names. Returns their paths. */
  close(run: RecordedRun, summary: RunSummary): Promise<string[]>;
  verification(): Verification | null;
  /** Removes what `close` has not finished. Idempotent. */
  abandon(): void;
}

/**
 * Opens what `spec.output` asks for. `command` is the command line, for the report; `observers` are those that listen anyway, so
 * that metrics are not kept twice. Throws InputError for a folder or file that cannot be used, and for a decision log of another
 * run.
 */
export async function openOutput(
  spec: RunSpec,
  command: string,
  observers: readonly RunObserver[] = [],
): Promise<RunOutput> {
  const files = new OutputFiles();
  let comparison: Comparison | null = null;
  try {
    const { directory, decisionLogFile, verifyFile } = spec.output;
    const report = directory === null ? null : new ReportFolder(files, directory, spec, command, observers);
    const header = decisionLogFile === null && verifyFile === null ? '' : decisionLogHeader(describeRun(spec));
    if (verifyFile !== null) {
      comparison = new Comparison(verifyFile);
      await comparison.begin(header);
    }
    const writers = lineWriters(files, spec.output, header, comparison);
    return new OpenOutput(files, report, comparison, writers);
  } catch (error) {
    files.abandon();
    comparison?.abandon();
    throw error;
  }
}

function lineWriters(
  files: OutputFiles,
  { decisionLogFile }: OutputSpec,
  header: string,
  comparison: Comparison | null,
): ((line: string) => void)[] {
  const writers: ((line: string) => void)[] = [];
  if (comparison !== null) writers.push((line) => comparison.came(line));
  if (decisionLogFile !== null) {
    const file = files.create('--decision-log', decisionLogFile);
    file.write(`${header}\n`);
    writers.push((line) => file.write(`${line}\n`));
  }
  return writers;
}

class OpenOutput implements RunOutput {
  readonly records: RequestRecords | null;
  readonly decisions: DecisionLog | null;
  readonly observers: readonly RunObserver[];
  private readonly files: OutputFiles;
  private readonly report: ReportFolder | null;
  private readonly comparison: Comparison | null;

  constructor(
    files: OutputFiles,
    report: ReportFolder | null,
    comparison: Comparison | null,
    writers: readonly ((line: string) => void)[],
  ) {
    this.files = files;
    this.report = report;
    this.comparison = comparison;
    this.records = report?.records ?? null;
    this.observers = report?.observers ?? [];
    this.decisions =
      writers.length === 0
        ? null
        : new DecisionLog((line) => {
            for (const write of writers) write(line);
          });
  }

  attach(engine: Engine): void {
    const { swapped, waiting } = engine.scheduler;
    this.decisions?.attach({ head: () => swapped.peek() ?? waiting.peek() });
  }

  drain(): Promise<void> | null {
    return this.comparison?.drain() ?? null;
  }

  async close(run: RecordedRun, summary: RunSummary): Promise<string[]> {
    this.decisions?.close();
    await this.comparison?.close();
    this.report?.write(run, summary);
    return this.files.commit();
  }

  verification(): Verification | null {
    return this.comparison?.verdict() ?? null;
  }

  abandon(): void {
    this.files.abandon();
    this.comparison?.abandon();
  }
}

/** Fine enough for a run of minutes; a day of it is 17,000 rows. */
const DASHBOARD_INTERVAL_SECONDS = 5;

/** The folder of `--out`. */
class ReportFolder {
  readonly records: RequestRecords;
  /** Of the dashboard's metrics, unless somebody keeps them already. */
  readonly observers: readonly RunObserver[];
  private readonly metrics: MetricsObserver;
  private readonly files: OutputFiles;
  private readonly directory: string;
  private readonly spec: RunSpec;
  private readonly command: string;

  constructor(
    files: OutputFiles,
    directory: string,
    spec: RunSpec,
    command: string,
    observers: readonly RunObserver[],
  ) {
    const kept = observers.find((observer) => observer instanceof MetricsObserver);
    this.metrics = kept ?? MetricsObserver.of(spec, DASHBOARD_INTERVAL_SECONDS);
    this.observers = kept === undefined ? [this.metrics] : [];
    this.files = files;
    this.directory = directory;
    this.spec = spec;
    this.command = command;
    files.makeFolder('--out', directory);
    const file = files.create('--out', join(directory, 'requests.csv'));
    this.records = new RequestRecords('csv', (chunk) => file.write(chunk));
  }

  write(run: RecordedRun, summary: RunSummary): void {
    this.add('timeseries.csv', timeSeriesCsv(run.timeSeries));
    this.add('summary.json', `${JSON.stringify(summary, null, 2)}\n`);
    const require = createRequire(import.meta.url);
    const uPlot = (name: string) => readFileSync(require.resolve(`uplot/dist/${name}`), 'utf8');
    const page = htmlReport({
      run,
      summary,
      settings: reportSettings(this.spec),
      command: this.command,
      uPlotScript: uPlot('uPlot.iife.min.js'),
      uPlotStyle: uPlot('uPlot.min.css'),
    });
    this.add('report.html', page);
    this.add('dashboard.html', recordedDashboard({ history: this.metrics.history, title: this.spec.scenario }));
  }

  private add(name: string, text: string): void {
    this.files.create('--out', join(this.directory, name)).write(text);
  }
}

/** A line per bucket: when it begins, in seconds, and its value in each series; empty where nothing was observed. */
function timeSeriesCsv(series: TimeSeries): string {
  const { bucketSeconds, buckets, ...columns } = series;
  const names = Object.keys(columns) as (keyof typeof columns)[];
  const lines = [['startSeconds', ...names].join(',')];
  for (let i = 0; i < buckets; i++) {
    lines.push([i * bucketSeconds, ...names.map((name) => columns[name][i] ?? '')].join(','));
  }
  return `${lines.join('\n')}\n`;
}

/** The comparison with the decision log of `--verify`. */
class Comparison {
  private readonly path: string;
  private readonly reader: LineReader;
  private readonly verifier: DecisionLogVerifier;
  private lines: string[] = [];

  constructor(path: string) {
    this.path = path;
    this.reader = new LineReader('--verify', path);
    this.verifier = new DecisionLogVerifier(this.reader);
  }

  async begin(header: string): Promise<void> {
    const problem = headerMismatch(await this.reader.next(), header);
    if (problem !== null) throw new InputError(`--verify ${this.path}: ${problem}`);
  }

  came(line: string): void {
    if (this.verifier.difference === null) this.lines.push(line);
  }

  drain(): Promise<void> | null {
    if (this.lines.length === 0) return null;
    const lines = this.lines;
    this.lines = [];
    return this.verifier.take(lines);
  }

  async close(): Promise<void> {
    await this.drain();
    await this.verifier.close();
    this.reader.close();
  }

  verdict(): Verification {
    return { stepsCompared: this.verifier.stepsCompared, difference: this.verifier.difference };
  }

  abandon(): void {
    this.reader.close();
  }
}
