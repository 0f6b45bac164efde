import { MetricsHistory } from '../observability/metrics-history.ts';
import { RecordingDecoder, RecordingEncoder, RecordingFormatError } from '../observability/recording-format.ts';
import { InputError } from './input-error.ts';
import { LineReader } from './line-reader.ts';

/** Writes all rows of a history. `file`: an OutputFile, which packs by its name, or anything that takes text. */
export function writeRecording(file: { write(text: string): void }, history: MetricsHistory): void {
  const encoder = new RecordingEncoder();
  file.write(`${encoder.header(history.intervalSeconds, history.info)}\n`);
  for (let row = 0; row < history.length; row++) {
    const seconds = history.timeSeconds(row);
    file.write(`${history.up(row) ? encoder.row(seconds, history.row(row)) : encoder.down(seconds)}\n`);
  }
}

/**
 * Reads a recording, plain or gzip, that `writeRecording` or a server has written. A last line that was cut off (the process was
 * killed while it wrote) is left out. Throws InputError with file and line.
 */
export async function readRecording(path: string): Promise<MetricsHistory> {
  const reader = new LineReader('recording', path);
  const decoder = new RecordingDecoder(
    (intervalSeconds) => new MetricsHistory({ rowsMax: Number.POSITIVE_INFINITY, intervalSeconds }),
  );
  let number = 0;
  let cutOff: InputError | null = null;
  try {
    for (;;) {
      const next = reader.next();
      const line = next instanceof Promise ? await next : next;
      if (line === null) break;
      if (cutOff !== null) throw cutOff;
      number++;
      try {
        decoder.line(line);
      } catch (error) {
        if (!(error instanceof RecordingFormatError)) throw error;
        const problem = new InputError(`recording ${path}:${number}: ${error.message}`);
        if (error.message !== 'not JSON' || number === 1) throw problem;
        cutOff = problem;
      }
    }
  } finally {
    reader.close();
  }
  const { history } = decoder;
  if (history === null || history.length === 0) throw new InputError(`recording ${path}: has no rows`);
  return history;
}
