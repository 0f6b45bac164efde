import { closeSync, createReadStream, fstatSync, openSync, type ReadStream, readSync } from 'node:fs';
import { createGunzip, gunzipSync, constants as zlib } from 'node:zlib';

/** Bytes of a trace, in order. Plain files answer at once, so that reading them costs no promise. */
export interface ByteSource {
  /** Bytes taken from the file so far, and its size: for progress. */
  readonly bytesRead: number;
  readonly bytesTotal: number;
  /** Fills into[at ..] with at most `into.length - at` bytes; 0 = the end. Throws what the file system or zlib throws. */
  read(into: Buffer, at: number): number | Promise<number>;
  /** Idempotent. */
  close(): void;
}

export interface OpenedBytes {
  readonly source: ByteSource;
  /** The first bytes of the content (unpacked), to detect the format from; `source` still starts at the beginning. */
  readonly start: Buffer;
}

/** Packed bytes to detect a format from: deflate unpacks them to 17 MB at the worst (1,032 to 1). */
const GZIP_START_BYTES = 1 << 14;

/** Opens `path`; gzip is told by its magic number (RFC 1952: 1f 8b), never by the file's name. */
export function openBytes(path: string, startBytes: number): OpenedBytes {
  const file = openSync(path, 'r');
  try {
    const bytesTotal = fstatSync(file).size;
    const raw = Buffer.allocUnsafe(startBytes);
    const start = raw.subarray(0, readSync(file, raw, 0, startBytes, 0));
    if (!(start[0] === 0x1f && start[1] === 0x8b)) return { source: new PlainBytes(file, bytesTotal), start };
    closeSync(file);
    // A sync flush gives what the first bytes hold, without asking for the end of the stream.
    const unpacked = gunzipSync(start.subarray(0, GZIP_START_BYTES), { finishFlush: zlib.Z_SYNC_FLUSH });
    return { source: new GzipBytes(path, bytesTotal), start: unpacked };
  } catch (error) {
    closeQuietly(file);
    throw error;
  }
}

class PlainBytes implements ByteSource {
  bytesRead = 0;
  readonly bytesTotal: number;
  private file: number;

  constructor(file: number, bytesTotal: number) {
    this.file = file;
    this.bytesTotal = bytesTotal;
  }

  read(into: Buffer, at: number): number {
    const count = readSync(this.file, into, at, into.length - at, this.bytesRead);
    this.bytesRead += count;
    return count;
  }

  close(): void {
    if (this.file >= 0) closeSync(this.file);
    this.file = -1;
  }
}

/** Opened when it is first read, so that a workload that nobody reads leaves no stream behind. */
class GzipBytes implements ByteSource {
  readonly bytesTotal: number;
  private readonly path: string;
  private file: ReadStream | null = null;
  private chunks: AsyncIterator<Buffer> | null = null;
  private chunk: Buffer = Buffer.alloc(0);
  private closed = false;

  constructor(path: string, bytesTotal: number) {
    this.path = path;
    this.bytesTotal = bytesTotal;
  }

  get bytesRead(): number {
    return this.file?.bytesRead ?? 0;
  }

  read(into: Buffer, at: number): number | Promise<number> {
    return this.chunk.length > 0 ? this.take(into, at) : this.readNext(into, at);
  }

  close(): void {
    this.closed = true;
    this.file?.destroy();
  }

  private async readNext(into: Buffer, at: number): Promise<number> {
    if (this.closed) return 0;
    if (this.chunks === null) {
      const file = createReadStream(this.path);
      const unpack = createGunzip({ chunkSize: 1 << 16 });
      file.on('error', (error) => unpack.destroy(error));
      file.on('close', () => this.closed && unpack.destroy());
      this.file = file;
      this.chunks = file.pipe(unpack)[Symbol.asyncIterator]();
    }
    const next = await this.chunks.next();
    if (next.done === true) return 0;
    this.chunk = next.value;
    return this.take(into, at);
  }

  private take(into: Buffer, at: number): number {
    const count = this.chunk.copy(into, at);
    this.chunk = this.chunk.subarray(count);
    return count;
  }
}

function closeQuietly(file: number): void {
  try {
    closeSync(file);
  } catch {
    // closed before the error
  }
}
