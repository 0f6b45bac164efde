import type { Workload, WorkloadRequest } from '../src/simulation/workload.ts';
import { type ByteSource, openBytes } from './byte-source.ts';
import { TRACE_FORMATS } from './formats/index.ts';
import type { RowParser, TraceFormat } from './formats/trace-format.ts';
import { TraceError, valueIs } from './trace-error.ts';
import { TraceReader } from './trace-reader.ts';

export interface TraceOptions {
  /** Arrival rate times this: intervals divided by it. Default 1. */
  readonly rateScale?: number;
  /** Trace time times this, on top of `rateScale`: 2 replays an hour in two. Default 1. */
  readonly timeScale?: number;
  /** Part of the trace to replay, in seconds of trace time since the first row, end excluded. Default: all. */
  readonly window?: { readonly startS: number; readonly endS: number } | null;
  /** Requests at most. Default: no limit. */
  readonly limit?: number;
  /** Longer prompts and outputs are cut to these. Default: no limit. */
  readonly promptTokensMax?: number;
  readonly outputTokensMax?: number;
  /** Count bad rows and go on, instead of throwing at the first. Default false. */
  readonly skipBad?: boolean;
}

/** A trace as a workload. Memory does not grow with its length. */
export interface TraceWorkload extends Workload {
  readonly path: string;
  /** Name of the detected format. */
  readonly format: string;
  /** Rows read so far, bad ones included. */
  readonly rows: number;
  readonly badRows: number;
  /** Messages of the first bad rows, as they would have been thrown. */
  readonly badRowMessages: readonly string[];
  /** Of the file on disk, for progress. */
  readonly bytesRead: number;
  readonly bytesTotal: number;
}

/** Enough for the first line of any trace that a human would call one. */
const START_BYTES = 1 << 16;

/**
 * Opens a trace in any known format, plain or gzip, detected from its content. Plain files are read synchronously: `next()`
 * never gives a promise for them. Throws `TraceError` for a missing, empty or unknown file, RangeError for a bad option.
 */
export function openTrace(path: string, options: TraceOptions = {}): TraceWorkload {
  checkOptions(options);
  const { source, start } = openStart(path);
  try {
    const format = detectFormat(path, start);
    return new OpenTrace(path, format, source, options);
  } catch (error) {
    source.close();
    throw error;
  }
}

class OpenTrace implements TraceWorkload {
  readonly path: string;
  readonly format: string;
  readonly requestsExpected: number | null = null;
  readonly durationExpectedNs: number | null = null;
  private readonly reader: TraceReader;
  private readonly source: ByteSource;

  constructor(path: string, format: TraceFormat, source: ByteSource, options: TraceOptions) {
    this.path = path;
    this.format = format.name;
    this.source = source;
    const parser: RowParser = format.parser();
    this.reader = new TraceReader(path, parser, source, {
      rateScale: (options.rateScale ?? 1) / (options.timeScale ?? 1),
      startNs: Math.round((options.window?.startS ?? 0) * 1e9),
      endNs: Math.round((options.window?.endS ?? Number.POSITIVE_INFINITY) * 1e9),
      requestsMax: options.limit ?? Number.POSITIVE_INFINITY,
      promptTokensMax: options.promptTokensMax ?? Number.POSITIVE_INFINITY,
      outputTokensMax: options.outputTokensMax ?? Number.POSITIVE_INFINITY,
      skipBad: options.skipBad ?? false,
    });
  }

  get rows(): number {
    return this.reader.rows;
  }

  get badRows(): number {
    return this.reader.badRows;
  }

  get badRowMessages(): readonly string[] {
    return this.reader.badRowMessages;
  }

  get bytesRead(): number {
    return this.source.bytesRead;
  }

  get bytesTotal(): number {
    return this.source.bytesTotal;
  }

  next(): WorkloadRequest[] | null | Promise<WorkloadRequest[] | null> {
    return this.reader.next();
  }

  afterFinished(_nowNs: number): null {
    return null;
  }

  close(): void {
    this.source.close();
  }
}

function openStart(path: string): ReturnType<typeof openBytes> {
  try {
    return openBytes(path, START_BYTES);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const problem =
      code === 'ENOENT'
        ? 'no such file'
        : code === 'EISDIR'
          ? 'is a directory'
          : code === 'EACCES'
            ? 'may not be read'
            : message;
    throw new TraceError(`${path}: ${problem}; allowed: a readable trace file`, path);
  }
}

function detectFormat(path: string, start: Buffer): TraceFormat {
  const known = TRACE_FORMATS.map((format) => `${format.name}: ${format.firstLine}`).join(' | ');
  if (start.length === 0) throw new TraceError(`${path}: is empty; allowed: ${known}`, path);
  const lineEnd = start.indexOf(10);
  const text = start.toString('utf8', 0, lineEnd < 0 ? start.length : lineEnd);
  const firstLine = text.replace(/^\uFEFF/, '').replace(/\r$/, '');
  const format = TRACE_FORMATS.find((candidate) => candidate.detect(firstLine));
  if (format !== undefined) return format;
  throw new TraceError(`${path}:1:1: first line of no known format, ${valueIs(firstLine, known)}`, path, 1, 1);
}

function checkOptions(options: TraceOptions): void {
  const positive = { rateScale: options.rateScale ?? 1, timeScale: options.timeScale ?? 1 };
  for (const [name, value] of Object.entries(positive)) {
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw optionError(name, value, 'a finite number above 0');
  }
  const counts = {
    limit: options.limit,
    promptTokensMax: options.promptTokensMax,
    outputTokensMax: options.outputTokensMax,
  };
  for (const [name, value] of Object.entries(counts)) {
    if (value === undefined || value === Number.POSITIVE_INFINITY) continue;
    if (!(Number.isInteger(value) && value >= 1)) throw optionError(name, value, 'an integer of at least 1');
  }
  const window = options.window ?? null;
  if (window !== null && !(window.startS >= 0 && window.endS > window.startS)) {
    throw optionError('window', `${window.startS}..${window.endS}`, 'seconds with 0 <= startS < endS');
  }
}

function optionError(name: string, value: unknown, allowed: string): RangeError {
  return new RangeError(`${name}: ${String(value)} is not allowed; ${allowed}`);
}
