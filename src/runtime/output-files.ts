import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { InputError, withPath } from './input-error.ts';

/**
 * Files that appear together or not at all: they are written beside their places under a temporary name, and `commit` moves
 * them there. Errors of the file system become InputErrors that name the path.
 */
export class OutputFiles {
  private readonly open: OutputFile[] = [];
  /** Folders made for these files, innermost first. */
  private readonly folders: string[] = [];

  /** Makes a folder and those above it, where they are missing. `what` names it in errors. */
  makeFolder(what: string, path: string): void {
    const missing: string[] = [];
    let folder = resolve(path);
    // One by one: where the file system refuses a folder as missing (/proc), Node's recursive mkdir tries for ever.
    for (; !existsSync(folder); folder = dirname(folder)) missing.push(folder);
    for (const each of missing.reverse()) {
      withPath(what, path, () => mkdirSync(each));
      this.folders.unshift(each);
    }
    if (missing.length === 0 && !statSync(folder).isDirectory()) {
      throw new InputError(`${what} ${path}: is a file, not a directory`);
    }
  }

  /** Opens a file for writing; gzip when its name ends in `.gz`. */
  create(what: string, path: string): OutputFile {
    // Found out now, not after the run when the file is moved there.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
      throw new InputError(`${what} ${path}: is a directory, not a file`);
    }
    const file = new OutputFile(what, path);
    this.open.push(file);
    return file;
  }

  /** Everything is written: the files get their names. Returns their paths in the order in which they were made. */
  commit(): string[] {
    for (const file of this.open) file.close();
    for (const file of this.open) file.move();
    this.folders.length = 0;
    return this.open.splice(0).map((file) => file.path);
  }

  /** Removes what was not committed, and the folders made for it. Idempotent; throws nothing. */
  abandon(): void {
    for (const file of this.open.splice(0)) file.remove();
    for (const folder of this.folders.splice(0)) {
      try {
        rmdirSync(folder);
      } catch {
        // Somebody else uses it by now.
        break;
      }
    }
  }
}

const BUFFER_CHARACTERS = 1 << 16;

/** A file being written, through a buffer of 64 KiB; a gzip file is a row of members of about that size (RFC 1952, 2.2). */
export class OutputFile {
  readonly what: string;
  readonly path: string;
  /** Where the bytes go until `move`: beside the file, or straight to a pipe or device, which must not be replaced. */
  private readonly temporary: string;
  /** Behind links. */
  private readonly place: string;
  private readonly gzip: boolean;
  private handle: number | null;
  private chunks: string[] = [];
  private characters = 0;

  constructor(what: string, path: string) {
    this.what = what;
    this.path = path;
    const found = statSync(path, { throwIfNoEntry: false });
    this.place = found === undefined ? path : realpathSync(path);
    this.temporary = found === undefined || found.isFile() ? `${this.place}.${process.pid}.partial` : path;
    this.gzip = path.endsWith('.gz');
    this.handle = withPath(what, path, () => openSync(this.temporary, 'w'));
  }

  write(text: string): void {
    this.chunks.push(text);
    this.characters += text.length;
    if (this.characters >= BUFFER_CHARACTERS) this.flush();
  }

  close(): void {
    if (this.handle === null) return;
    this.flush();
    const handle = this.handle;
    this.handle = null;
    withPath(this.what, this.path, () => closeSync(handle));
  }

  /** Gives the bytes their name. */
  move(): void {
    if (this.temporary !== this.path) withPath(this.what, this.path, () => renameSync(this.temporary, this.place));
  }

  /** Throws nothing. */
  remove(): void {
    try {
      if (this.handle !== null) closeSync(this.handle);
      if (this.temporary !== this.path) rmSync(this.temporary, { force: true });
    } catch {
      // There is nothing more to be done about a file that is not wanted.
    }
    this.handle = null;
  }

  private flush(): void {
    const handle = this.handle;
    if (this.characters === 0 || handle === null) return;
    const text = this.chunks.join('');
    this.chunks = [];
    this.characters = 0;
    withPath(this.what, this.path, () => {
      const bytes = this.gzip ? gzipSync(text) : Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
    });
  }
}
