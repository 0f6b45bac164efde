import { openSync, write } from 'node:fs';
import type { Guard } from '../gateway/guard.ts';
import { LogSink } from '../gateway/limits/log-sink.ts';
import { withPath } from './input-error.ts';

const STDERR = 2;
/** A pipe whose reader is slow is tried again after this time, as sonic-boom does. */
const BUSY_MS = 100;

/**
 * A destination for pino that survives a full disk. `file`: null = standard error; it is made when missing and appended to.
 * Throws InputError when it cannot be opened at the start.
 */
export function logDestination(file: string | null, guard: Guard): LogSink {
  const fd = file === null ? STDERR : withPath('log file', file, () => openSync(file, 'a', 0o640));
  return new LogSink(fileWriter(fd, guard));
}

/** Whole texts to a file descriptor. After a text that was cut off the next one begins on a new line. */
function fileWriter(fd: number, guard: Guard): (text: string, done: (error: Error | null) => void) => void {
  let torn = false;
  return (text, done) => {
    const bytes = Buffer.from(torn ? `\n${text}` : text, 'utf8');
    const from = (offset: number): void => {
      write(fd, bytes, offset, bytes.length - offset, null, (error, written) => {
        if (error?.code === 'EAGAIN') {
          guard.after('log_retry', BUSY_MS, () => from(offset));
          return;
        }
        if (error !== null) {
          torn ||= offset > 0;
          done(error);
          return;
        }
        if (offset + written < bytes.length) {
          from(offset + written);
          return;
        }
        torn = false;
        done(null);
      });
    };
    from(0);
  };
}
