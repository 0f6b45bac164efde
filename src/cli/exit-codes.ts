import { CommanderError } from 'commander';
import { ScenarioError } from '../config/scenario-error.ts';
import { ConfigError, InvariantError } from '../core/index.ts';

/**
 * ok; missed: a target was missed under --fail-on-targets, or a verification found a difference; badInput: the user's to
 * mend; internal: a law of the engine was broken or Twinfer has a bug.
 */
export const EXIT = { ok: 0, missed: 1, badInput: 2, internal: 3 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Something on the command line that cannot be: the message names the flag or argument, its value and what is allowed. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/**
 * Errors of other layers that the user can mend, by class name: files are read behind ports, so that the command line does
 * not import every reader for the sake of its error class.
 */
const INPUT_ERROR_NAMES: ReadonlySet<string> = new Set([
  'TraceError',
  'WorkloadError',
  'ModelError',
  'DeviceError',
  'MemoryError',
  'InputError',
]);

/** File system errors that a path on the command line or in a scenario can cause. */
const PATH_ERROR_CODES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory, not a file',
  ENOTDIR: 'part of the path is no directory',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
};

/** The exit code of an error, and what to print of it. */
export function exitOf(error: unknown): { code: ExitCode; message: string } {
  if (error instanceof CommanderError) {
    return { code: error.exitCode === 0 ? EXIT.ok : EXIT.badInput, message: '' };
  }
  if (error instanceof ScenarioError || error instanceof ConfigError || error instanceof UsageError) {
    return { code: EXIT.badInput, message: error.message };
  }
  if (error instanceof InvariantError) return { code: EXIT.internal, message: invariantText(error) };
  if (error instanceof Error) {
    if (INPUT_ERROR_NAMES.has(error.name)) return { code: EXIT.badInput, message: error.message };
    const { code, path } = error as NodeJS.ErrnoException;
    const words = code === undefined ? undefined : PATH_ERROR_CODES[code];
    if (words !== undefined && path !== undefined) return { code: EXIT.badInput, message: `${path}: ${words}` };
    return { code: EXIT.internal, message: error.stack ?? error.message };
  }
  return { code: EXIT.internal, message: String(error) };
}

function invariantText(error: InvariantError): string {
  const history = error.history.length === 0 ? '' : `\nlast steps, oldest first:\n  ${error.history.join('\n  ')}`;
  return `${error.message}${history}`;
}
