import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as timers from 'node:timers/promises';
import { promisify } from 'node:util';
import { BACKFILLED } from '../observability/alerts/index.ts';
import type { MetricsHistory } from '../observability/index.ts';
import { type OpenMetricsOptions, openMetricsOf } from '../observability/openmetrics-history.ts';
import { InputError } from './input-error.ts';
import { wallNs } from './system-clock.ts';

export interface OracleOptions extends OpenMetricsOptions {
  /** Told what it is about to do. */
  readonly progress?: (doing: string) => void;
}

/** One series of an answer: times in seconds of the history, ascending. */
export interface OracleSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly times: readonly number[];
  readonly values: readonly number[];
}

/** A Prometheus that holds a history, on this machine's loopback only. */
export interface PrometheusOracle {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Evaluates `expression` at one moment of the history (default its last row). Throws Error with what Prometheus says. */
  query(expression: string, timeSeconds?: number): Promise<OracleSeries[]>;
  /** At `fromSeconds`, every `stepSeconds` later, up to `toSeconds`; default at each row. */
  queryRange(expression: string, range?: OracleRange): Promise<OracleSeries[]>;
  /** Ends it and removes its files. Idempotent. */
  close(): Promise<void>;
}

export interface OracleRange {
  readonly fromSeconds: number;
  readonly toSeconds: number;
  readonly stepSeconds: number;
}

/** 2024-01-15T00:00:00Z: blocks of a day begin at midnight, so that a day fills one. */
const START_SECONDS = 1_705_276_800;
const READY_NS_MAX = 30e9;
/** Points that Prometheus gives in one answer. */
const POINTS_MAX = 11_000;
const WRITE_CHARACTERS = 1 << 20;

/**
 * Writes a history as OpenMetrics, makes blocks of it with `promtool` and starts a `prometheus` over them. Throws InputError
 * where the programs are missing, Error with their own words where they fail; leaves nothing behind then.
 */
export async function openOracle(history: MetricsHistory, options: OracleOptions = {}): Promise<PrometheusOracle> {
  const { progress = () => {}, startSeconds = START_SECONDS } = options;
  const folder = mkdtempSync(join(tmpdir(), 'twinfer-prometheus-'));
  let child: ChildProcess | null = null;
  const close = async () => {
    if (child !== null) await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    progress('writing OpenMetrics');
    const file = join(folder, 'history.om');
    await writeOpenMetrics(file, history, { ...options, startSeconds });
    progress('making blocks');
    const data = join(folder, 'data');
    const make = ['tsdb', 'create-blocks-from', 'openmetrics', '--max-block-duration=24h', '--quiet', file, data];
    await runTool('promtool', make);
    rmSync(file);
    progress('starting Prometheus');
    writeFileSync(join(folder, 'prometheus.yml'), '');
    const address = `127.0.0.1:${await freePort()}`;
    child = await started('prometheus', `http://${address}`, [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${data}`,
      '--storage.tsdb.retention.time=100y',
      // There are no stale markers in a backfill: what vanished would linger for 5 minutes.
      `--query.lookback-delta=${BACKFILLED.lookbackSeconds}s`,
      `--web.listen-address=${address}`,
    ]);
    return new BackfilledPrometheus(`http://${address}`, history, startSeconds, close);
  } catch (error) {
    await close();
    throw error;
  }
}

class BackfilledPrometheus implements PrometheusOracle {
  readonly url: string;
  private readonly history: MetricsHistory;
  private readonly startSeconds: number;
  private readonly end: () => Promise<void>;

  constructor(url: string, history: MetricsHistory, startSeconds: number, end: () => Promise<void>) {
    this.url = url;
    this.history = history;
    this.startSeconds = startSeconds;
    this.end = end;
  }

  async query(expression: string, timeSeconds = this.rowSeconds(this.history.length - 1)): Promise<OracleSeries[]> {
    const time = String(this.startSeconds + timeSeconds);
    const { result } = await this.ask('query', { query: expression, time });
    return result.map(({ metric, value }) => this.series(metric, [value!]));
  }

  async queryRange(expression: string, range: OracleRange = this.wholeRange()): Promise<OracleSeries[]> {
    const { fromSeconds, toSeconds, stepSeconds } = range;
    const points = Math.floor((toSeconds - fromSeconds) / stepSeconds + 1e-6) + 1;
    const all = new Map<string, { readonly metric: Record<string, string>; readonly values: Point[] }>();
    for (let from = 0; from < points; from += POINTS_MAX) {
      const at = (point: number) => String(this.startSeconds + fromSeconds + point * stepSeconds);
      const { result } = await this.ask('query_range', {
        query: expression,
        start: at(from),
        end: at(Math.min(points, from + POINTS_MAX) - 1),
        step: String(stepSeconds),
      });
      for (const { metric, values } of result) {
        const key = JSON.stringify(Object.entries(metric).sort());
        const before = all.get(key);
        if (before === undefined) all.set(key, { metric, values: [...values!] });
        else before.values.push(...values!);
      }
    }
    return [...all.values()].map(({ metric, values }) => this.series(metric, values));
  }

  close(): Promise<void> {
    return this.end();
  }

  private wholeRange(): OracleRange {
    const { history } = this;
    return {
      fromSeconds: this.rowSeconds(0),
      toSeconds: this.rowSeconds(history.length - 1),
      stepSeconds: history.intervalSeconds,
    };
  }

  private rowSeconds(row: number): number {
    return this.history.timeSeconds(row);
  }

  private series(metric: Record<string, string>, points: readonly Point[]): OracleSeries {
    const { __name__: _name, ...labels } = metric;
    // Milliseconds are what Prometheus keeps of a time.
    const times = points.map(([time]) => Math.round((time - this.startSeconds) * 1000) / 1000);
    return { labels, times, values: points.map(([, value]) => numberOf(value)) };
  }

  private async ask(path: string, parameters: Record<string, string>): Promise<{ readonly result: Result[] }> {
    const response = await fetch(`${this.url}/api/v1/${path}`, {
      method: 'POST',
      body: new URLSearchParams(parameters),
    });
    const body = (await response.json()) as { status: string; error?: string; data: { result: Result[] } };
    if (body.status !== 'success') throw new Error(`prometheus: ${parameters['query']}: ${body.error}`);
    return body.data;
  }
}

type Point = readonly [seconds: number, value: string];
interface Result {
  readonly metric: Record<string, string>;
  readonly value?: Point;
  readonly values?: readonly Point[];
}

function numberOf(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  return text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text);
}

async function writeOpenMetrics(path: string, history: MetricsHistory, options: OpenMetricsOptions): Promise<void> {
  const file = openSync(path, 'w');
  try {
    let text = '';
    for (const part of openMetricsOf(history, options)) {
      text += part;
      if (text.length < WRITE_CHARACTERS) continue;
      writeSync(file, text);
      text = '';
      // Lets signals and the terminal in.
      await timers.setImmediate();
    }
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
}

async function runTool(tool: string, args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(tool, args, { maxBuffer: 1 << 26 });
  } catch (error) {
    throw toolError(tool, error as NodeJS.ErrnoException & { readonly stderr?: string });
  }
}

function toolError(tool: string, error: NodeJS.ErrnoException & { readonly stderr?: string }): Error {
  if (error.code === 'ENOENT') {
    return new InputError(
      `--prometheus: ${tool} is not on the PATH; allowed: where Prometheus is installed (Debian: apt-get install prometheus)`,
    );
  }
  return new Error(`${tool}: ${error.stderr ?? error.message}`);
}

/** Resolves when it answers. */
async function started(tool: string, url: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(tool, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  let failure: NodeJS.ErrnoException | null = null;
  child.once('error', (error) => {
    failure = error;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-4000);
  });
  const lateNs = wallNs() + READY_NS_MAX;
  while (!(await answers(`${url}/-/ready`))) {
    if (failure !== null) throw toolError(tool, failure);
    if (child.exitCode === null && wallNs() < lateNs) continue;
    await ended(child);
    throw new Error(`${tool} did not start: ${log}`);
  }
  return child;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    if (response.status === 200) return true;
  } catch {
    // Nobody listens yet.
  }
  await timers.setTimeout(50);
  return false;
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) resolve();
    else child.once('exit', () => resolve());
    // Its files are removed, so that there is nothing to end in good order.
    child.kill('SIGKILL');
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
