import { CommanderError } from 'commander';
import { TraceError } from '../../replay/trace-error.ts';
import { DeviceError } from '../backends/simulated/device.ts';
import { MemoryError } from '../backends/simulated/memory.ts';
import { ModelError } from '../backends/simulated/model-shape.ts';
import { ProfileError } from '../backends/simulated/parse-device-profile.ts';
import { KernelTableError } from '../calibration/kernel-csv.ts';
import { MeasurementError } from '../calibration/serving-measurement.ts';
import { ScenarioError } from '../config/scenario-error.ts';
import { ConfigError, InvariantError } from '../core/index.ts';
import { InputError, pathError } from '../runtime/input-error.ts';
import { InterruptedError, SIGNAL_EXITS } from './interruption.ts';

/**
 * ok; missed: a target was missed under --fail-on-targets, or a verification found a difference; badInput: the user's to
 * mend; internal: a law of the engine was broken or Twinfer has a bug; or the signal that ended a run.
 */
export const EXIT = { ok: 0, missed: 1, badInput: 2, internal: 3, ...SIGNAL_EXITS } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Something on the command line that cannot be: the message names the flag or argument, its value and what is allowed. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** What the user can mend. Each message names the place, the value and what is allowed, in one line. */
const INPUT_ERRORS = [
  ScenarioError,
  ConfigError,
  UsageError,
  TraceError,
  InputError,
  ModelError,
  DeviceError,
  MemoryError,
  ProfileError,
  KernelTableError,
  MeasurementError,
] as const;

/** The exit code of an error, and what to print of it. */
export function exitOf(error: unknown): { code: ExitCode; message: string } {
  if (error instanceof CommanderError) {
    return { code: error.exitCode === 0 ? EXIT.ok : EXIT.badInput, message: '' };
  }
  const input = INPUT_ERRORS.find((kind) => error instanceof kind);
  if (input !== undefined) return { code: EXIT.badInput, message: (error as Error).message };
  if (error instanceof InterruptedError) return { code: EXIT[error.signal], message: error.message };
  if (error instanceof InvariantError) return { code: EXIT.internal, message: invariantText(error) };
  if (error instanceof Error) {
    // Whatever the file system refuses about a path is somebody's path on the command line or in a scenario.
    const { path } = error as NodeJS.ErrnoException;
    const refused = typeof path === 'string' ? pathError('path', path, error) : null;
    if (refused instanceof InputError) return { code: EXIT.badInput, message: refused.message };
    return { code: EXIT.internal, message: error.stack ?? error.message };
  }
  return { code: EXIT.internal, message: String(error) };
}

function invariantText(error: InvariantError): string {
  const history = error.history.length === 0 ? '' : `\nlast steps, oldest first:\n  ${error.history.join('\n  ')}`;
  return `${error.message}${history}`;
}
