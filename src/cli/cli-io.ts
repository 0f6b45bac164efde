import type { SignalSource } from './interruption.ts';

/** Where a command writes. Text only; `columns` and `isTTY` decide about progress bars. */
export interface CliStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** The outside of a command: tests pass their own. stdout carries results only, stderr everything else. */
export interface CliIo {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  /** Asks a run to end; null = nobody does. */
  readonly signals: SignalSource | null;
}

/**
 * The streams of this process. A reader that has gone away (`twinfer ... | head`) is no error: what is left is thrown
 * away. Other stream errors still end the process.
 */
export function processIo(): CliIo {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  return { stdout: process.stdout, stderr: process.stderr, signals: process };
}
