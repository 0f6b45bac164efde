import { type FileHandle, open, rename } from 'node:fs/promises';
import { type MetricsPage, MetricsSnapshot } from '../../observability/index.ts';
import { RecordingEncoder } from '../../observability/recording-format.ts';
import { pathError } from '../input-error.ts';

export interface LiveRecordingOptions {
  readonly file: string;
  readonly intervalSeconds: number;
  /** A file that would grow beyond is moved to `file.1`, where it replaces the one before. */
  readonly bytesMax: number;
  readonly page: MetricsPage;
  /** Told of the first failure of a row of them, and when it goes on. */
  readonly report: (event: 'failed' | 'resumed', detail: string) => void;
}

const LINE_FEED = 10;

/**
 * Appends the server's metrics to a file while it runs. A sample is one write: what is on the disk is complete up to the last
 * sample. A disk that is full or gone costs samples, never the server; one write is under way at a time.
 */
export class LiveRecording {
  private readonly options: LiveRecordingOptions;
  private readonly snapshot = new MetricsSnapshot();
  private readonly encoder = new RecordingEncoder();
  private handle: FileHandle;
  /** Up to where the file is good. */
  private bytes: number;
  /** What is on the disk has no header that the next row could follow. */
  private headerless = true;
  private failing = false;
  private dueSeconds = Number.NEGATIVE_INFINITY;
  private writing: Promise<void> | null = null;
  private closed = false;

  private constructor(options: LiveRecordingOptions, handle: FileHandle, bytes: number) {
    this.options = options;
    this.handle = handle;
    this.bytes = bytes;
  }

  /** Opens the file, after what is in it. Throws InputError. */
  static async open(options: LiveRecordingOptions): Promise<LiveRecording> {
    try {
      const handle = await open(options.file, 'a+', 0o640);
      return new LiveRecording(options, handle, await wholeLines(handle));
    } catch (error) {
      throw pathError('--record', options.file, error);
    }
  }

  /**
   * To be called often; takes a sample when the interval is over, unless the last write still goes on. Resolves when it is
   * written or given up; never throws.
   */
  async tick(timeSeconds: number): Promise<void> {
    // A timer may come a little early.
    if (this.closed || this.writing !== null || timeSeconds < this.dueSeconds - 0.1) return;
    const { intervalSeconds } = this.options;
    const late = timeSeconds - this.dueSeconds;
    this.dueSeconds = (late < intervalSeconds ? this.dueSeconds : timeSeconds) + intervalSeconds;
    this.writing = this.sample(timeSeconds);
    try {
      await this.writing;
    } finally {
      this.writing = null;
    }
  }

  /** A last sample, then the file is closed. Idempotent; never throws. */
  async close(timeSeconds: number): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.writing;
    await this.sample(timeSeconds);
    await this.handle.close().catch(() => {});
  }

  private async sample(timeSeconds: number): Promise<void> {
    const { options, encoder, snapshot } = this;
    snapshot.take(options.page);
    try {
      if (this.bytes >= options.bytesMax) await this.rotate();
      // After a failure the row before is not on the disk: begin anew.
      const header = this.headerless ? `${encoder.header(options.intervalSeconds, options.page.getInfo())}\n` : '';
      this.headerless = true;
      const text = Buffer.from(`${header}${encoder.row(timeSeconds, snapshot.cells)}\n`);
      for (let at = 0; at < text.length; ) {
        const { bytesWritten } = await this.handle.write(text, at, text.length - at);
        at += bytesWritten;
      }
      this.bytes += text.length;
      this.headerless = false;
      if (this.failing) options.report('resumed', options.file);
      this.failing = false;
    } catch (error) {
      // What was written of the line goes, as far as the disk lets us.
      await this.handle.truncate(this.bytes).catch(() => {});
      if (!this.failing) options.report('failed', (error as Error).message);
      this.failing = true;
    }
  }

  private async rotate(): Promise<void> {
    const { file } = this.options;
    await rename(file, `${file}.1`);
    const next = await open(file, 'a', 0o640);
    await this.handle.close();
    this.handle = next;
    this.bytes = 0;
    this.headerless = true;
  }
}

/** Cuts off a last line without an end, which a killed process has left; returns the size. */
async function wholeLines(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const tail = Buffer.alloc(Math.min(size, 1 << 20));
  await handle.read(tail, 0, tail.length, size - tail.length);
  const end = size - tail.length + tail.lastIndexOf(LINE_FEED) + 1;
  if (end < size) await handle.truncate(end);
  return end;
}
