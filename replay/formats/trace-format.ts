import type { TraceRow } from '../trace-row.ts';

/** A trace format: one file in this folder, listed in `index.ts`. Detected from content, never from the file's name. */
export interface TraceFormat {
  readonly name: string;
  /** One line for error messages: what the first line of such a file looks like. */
  readonly firstLine: string;
  /** `firstLine` comes without byte order mark and line end. Must not throw. */
  detect(firstLine: string): boolean;
  /** A parser with its own state, for one file. */
  parser(): RowParser;
}

export interface RowParser {
  /** Lines before the first row. */
  readonly headerLines: number;
  /**
   * Rows of one timestamp come from a clock of this coarseness, in nanoseconds, and are spread evenly over what follows: up
   * to the next timestamp, at most this far. 0 = timestamps are exact, rows of one timestamp arrive together.
   */
  readonly spreadNs: number;
  /**
   * Parses the line that begins at bytes[from] and fills `row`; a line feed is guaranteed before `to`. Returns the index after that line
   * feed. Throws `RowFault` for a bad value. The default `row.stream` may be replaced by a stream >= 0.
   */
  parse(bytes: Buffer, from: number, to: number, row: TraceRow): number;
}
