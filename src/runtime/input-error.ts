/** A file or folder named by the user that cannot be used. The message is one line: what was given and what is wrong with it. */
export class InputError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InputError';
  }
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'is a directory, not a file',
  ENOTDIR: 'part of the path is no directory',
  EEXIST: 'is a file, not a directory',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
  Z_DATA_ERROR: 'is damaged gzip',
  Z_BUF_ERROR: 'is gzip that ends too early',
};

/** Does `work` with a path; what the file system or zlib says about it becomes an InputError `what path: problem`. */
export function withPath<T>(what: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw pathError(what, path, error);
  }
}

/** The InputError for what the file system or zlib threw; any other error as it is. */
export function pathError(what: string, path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (typeof code !== 'string') return error;
  return new InputError(`${what} ${path}: ${PROBLEMS[code] ?? code}`);
}
