import { StreamTokens } from '../src/core/token-source.ts';
import { WorkloadRequest } from '../src/simulation/workload.ts';
import type { ByteSource } from './byte-source.ts';
import type { RowParser } from './formats/trace-format.ts';
import { RowFault, TraceError } from './trace-error.ts';
import { TraceRow } from './trace-row.ts';

/** Options after defaults; times in nanoseconds of trace time since the first row. */
export interface ReaderOptions {
  readonly rateScale: number;
  readonly startNs: number;
  readonly endNs: number;
  readonly requestsMax: number;
  readonly promptTokensMax: number;
  readonly outputTokensMax: number;
  readonly skipBad: boolean;
}

/** One read, and so about one batch: 1,700 rows of an Azure trace. */
const CHUNK_BYTES = 1 << 16;
/** A line beyond this is no row: 16 MiB hold the hash ids of a prompt of a billion tokens. */
const LINE_BYTES_MAX = 1 << 24;
const MESSAGES_KEPT = 5;

const CR = 13;
const LF = 10;

/**
 * Turns bytes into batches of requests: finds rows in chunks, calls the format's parser, spreads coarse timestamps, applies
 * window, scale and limits.
 *
 *     | parsed | whole lines | begun line | free |
 *     0        position      linesEnd     filled bytes.length
 */
export class TraceReader {
  rows = 0;
  badRows = 0;
  readonly badRowMessages: string[] = [];
  private readonly path: string;
  private readonly parser: RowParser;
  private readonly source: ByteSource;
  private readonly options: ReaderOptions;
  private bytes: Buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  private position = 0;
  private filled = 0;
  private line = 0;
  private ended = false;
  private done = false;
  private requests = 0;
  /** What `next` hands out a copy of: an array that has held objects once stays one of objects for the compiler. */
  private readonly batch: WorkloadRequest[] = [];
  /** Filled by the parser; a new one for every row only where rows are held back to be spread. */
  private row = new TraceRow();
  /** Times of the first and of the last row; NaN before there is one (and so never a small integer: one representation). */
  private originNs = Number.NaN;
  private lastNs = Number.NaN;
  /** Rows of one coarse timestamp, in order, and the distance to it from the one before. */
  private held: TraceRow[] = [];
  private stepNs = Number.POSITIVE_INFINITY;

  constructor(path: string, parser: RowParser, source: ByteSource, options: ReaderOptions) {
    this.path = path;
    this.parser = parser;
    this.source = source;
    this.options = options;
  }

  /** At least one request, or null at the end. */
  next(): WorkloadRequest[] | null | Promise<WorkloadRequest[] | null> {
    while (!this.done) {
      this.parseLines();
      if (this.batch.length > 0) return this.takeBatch();
      if (this.done) break;
      const more = this.fill();
      if (more !== null) return more.then(() => this.next());
    }
    if (this.requests === 0) throw this.nothingLeft();
    return null;
  }

  private takeBatch(): WorkloadRequest[] {
    const batch = this.batch.slice();
    this.batch.length = 0;
    return batch;
  }

  /** Parses all whole lines of the buffer; at the end of the file also releases what is held back. */
  private parseLines(): void {
    const end = this.filled === 0 ? 0 : this.bytes.lastIndexOf(LF, this.filled - 1) + 1;
    if (this.line === 0 && this.filled > 0) this.skipByteOrderMark();
    while (this.position < end && !this.done) {
      this.line++;
      if (this.line <= this.parser.headerLines) {
        this.position = this.bytes.indexOf(LF, this.position) + 1;
      } else if (this.bytes[this.position]! <= CR && this.skipBlank()) {
        this.position++;
      } else {
        this.parseRow(end);
      }
    }
    if (this.ended && !this.done) {
      this.release(Number.POSITIVE_INFINITY);
      this.finish();
    }
  }

  private parseRow(end: number): void {
    const row = this.row;
    const from = this.position;
    // The row's number names its private content, so that a window or a bad row changes nobody else's.
    row.stream = -++this.rows;
    try {
      this.position = this.parser.parse(this.bytes, from, end, row);
      if (row.timeNs < this.lastNs) throw new RowFault(null, this.goesBack(row.timeNs), 0);
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      this.position = this.bytes.indexOf(LF, from) + 1;
      this.reject(error);
      return;
    }
    if (Number.isNaN(this.originNs)) this.originNs = row.timeNs;
    if (this.parser.spreadNs > 0) {
      this.hold(row);
    } else {
      this.emit(row, row.timeNs - this.originNs);
    }
    this.lastNs = row.timeNs;
  }

  private hold(row: TraceRow): void {
    if (row.timeNs > this.lastNs) this.release(row.timeNs - this.lastNs);
    this.held.push(row);
    this.row = new TraceRow();
  }

  /** Row i of k held rows goes to the i-th k-th of the way to the next timestamp, `stepNs` away (the last one: as the step before). */
  private release(stepNs: number): void {
    const held = this.held;
    const width = Math.min(stepNs === Number.POSITIVE_INFINITY ? this.stepNs : stepNs, this.parser.spreadNs);
    for (let i = 0; i < held.length && !this.done; i++) {
      const row = held[i]!;
      this.emit(row, row.timeNs - this.originNs + Math.floor((i * width) / held.length));
    }
    this.held = [];
    this.stepNs = stepNs;
  }

  /** `timeNs` is trace time since the first row. */
  private emit(row: TraceRow, timeNs: number): void {
    const options = this.options;
    if (timeNs < options.startNs) return;
    if (timeNs >= options.endNs) {
      this.finish();
      return;
    }
    if (row.promptTokens > options.promptTokensMax) row.cutPrompt(options.promptTokensMax);
    if (row.outputTokensMax > options.outputTokensMax) row.outputTokensMax = options.outputTokensMax;
    let arrivalNs = timeNs - options.startNs;
    if (options.rateScale !== 1) arrivalNs = Math.round(arrivalNs / options.rateScale);
    const prompt = new StreamTokens(row.promptTokens, row.stream, row.streamOffset, row.head);
    this.batch.push(new WorkloadRequest(arrivalNs, prompt, row.outputTokensMax, row.fields));
    if (++this.requests >= options.requestsMax) this.finish();
  }

  /** Reads more bytes; null when that happened at once. */
  private fill(): Promise<void> | null {
    if (this.position > 0) {
      this.bytes.copyWithin(0, this.position, this.filled);
      this.filled -= this.position;
      this.position = 0;
    }
    // One byte stays free for the line feed that the last line may lack.
    if (this.filled >= this.bytes.length - 1) this.grow();
    const count = this.source.read(this.bytes.subarray(0, this.bytes.length - 1), this.filled) as
      | number
      | Promise<number>;
    if (typeof count === 'number') {
      this.filledBy(count);
      return null;
    }
    return count.then(
      (bytes) => this.filledBy(bytes),
      (error: Error) => {
        this.close();
        throw new TraceError(
          `${this.path}: ${error.message} (after line ${this.line}); allowed: a whole gzip file`,
          this.path,
        );
      },
    );
  }

  private filledBy(count: number): void {
    this.filled += count;
    if (count > 0) return;
    this.ended = true;
    if (this.filled > 0 && this.bytes[this.filled - 1] !== LF) this.bytes[this.filled++] = LF;
  }

  private grow(): void {
    if (this.bytes.length >= LINE_BYTES_MAX) {
      throw new TraceError(
        `${this.path}:${this.line + 1}:1: line is longer than ${LINE_BYTES_MAX} bytes; allowed: shorter lines`,
        this.path,
        this.line + 1,
        1,
      );
    }
    const larger = Buffer.allocUnsafe(2 * this.bytes.length);
    this.bytes.copy(larger, 0, 0, this.filled);
    this.bytes = larger;
  }

  /** True at an empty line, with `position` moved to its line feed. */
  private skipBlank(): boolean {
    if (this.bytes[this.position] === CR && this.bytes[this.position + 1] === LF) this.position++;
    return this.bytes[this.position] === LF;
  }

  private skipByteOrderMark(): void {
    if (this.bytes[0] === 0xef && this.bytes[1] === 0xbb && this.bytes[2] === 0xbf) this.position = 3;
  }

  private reject(fault: RowFault): void {
    const place = `${this.path}:${this.line}:${fault.offset + 1}`;
    const message = `${place}: ${fault.field === null ? '' : `field "${fault.field}": `}${fault.problem}`;
    if (!this.options.skipBad) {
      this.close();
      throw new TraceError(message, this.path, this.line, fault.offset + 1, fault.field);
    }
    this.badRows++;
    if (this.badRowMessages.length < MESSAGES_KEPT) this.badRowMessages.push(message);
  }

  private goesBack(timeNs: number): string {
    return `time goes back by ${(this.lastNs - timeNs) / 1e9} s; allowed: rows in order of time`;
  }

  private nothingLeft(): TraceError {
    const counts = `${this.rows} rows read, ${this.badRows} bad`;
    const reason = this.rows > this.badRows ? 'no row lies inside the window' : 'no usable row';
    return new TraceError(`${this.path}: ${reason} (${counts}); allowed: at least one request`, this.path);
  }

  private finish(): void {
    this.done = true;
    this.close();
  }

  private close(): void {
    this.source.close();
  }
}
