import { type ByteSource, openBytes } from '../../replay/byte-source.ts';
import { pathError, withPath } from './input-error.ts';

const CHUNK_BYTES = 1 << 16;
const LINE_FEED = 10;

/** Lines of a text file, plain or gzip, in constant memory (but for the longest line). Errors name `what` and the path. */
export class LineReader {
  private readonly what: string;
  private readonly path: string;
  private readonly source: ByteSource;
  private buffer = Buffer.allocUnsafe(2 * CHUNK_BYTES);
  /** buffer[from .. to) is unread. */
  private from = 0;
  private to = 0;
  private ended = false;

  constructor(what: string, path: string) {
    this.what = what;
    this.path = path;
    this.source = withPath(what, path, () => openBytes(path, CHUNK_BYTES)).source;
  }

  /** The next line without its end; null = the end. A last line without an end of line is one as well. */
  next(): string | null | Promise<string | null> {
    const line = this.take();
    return line === null && !this.ended ? this.readOn() : line;
  }

  close(): void {
    this.source.close();
  }

  private async readOn(): Promise<string | null> {
    for (;;) {
      const line = this.take();
      if (line !== null || this.ended) return line;
      await this.fill();
    }
  }

  private take(): string | null {
    const end = this.buffer.subarray(0, this.to).indexOf(LINE_FEED, this.from);
    if (end < 0 && !(this.ended && this.from < this.to)) return null;
    const to = end < 0 ? this.to : end;
    const line = this.buffer.toString('utf8', this.from, to);
    this.from = end < 0 ? to : end + 1;
    return line;
  }

  private async fill(): Promise<void> {
    const left = this.to - this.from;
    if (left + CHUNK_BYTES > this.buffer.length) {
      const larger = Buffer.allocUnsafe(2 * this.buffer.length);
      this.buffer.copy(larger, 0, this.from, this.to);
      this.buffer = larger;
    } else {
      this.buffer.copyWithin(0, this.from, this.to);
    }
    this.from = 0;
    this.to = left;
    try {
      const count = await this.source.read(this.buffer, this.to);
      this.to += count;
      this.ended = count === 0;
    } catch (error) {
      throw pathError(this.what, this.path, error);
    }
  }
}
