/**
 * A trace that cannot be replayed. The message is one line: `file:line:column: field "x": value is V; allowed: A` for a row,
 * `file: what; allowed: A` for the file as a whole. Lines and columns count from 1; columns are characters.
 */
export class TraceError extends Error {
  readonly path: string;
  /** 0 when the error concerns the whole file. */
  readonly line: number;
  readonly column: number;
  /** Name of the field, or null when the error is not about one. */
  readonly field: string | null;

  constructor(message: string, path: string, line = 0, column = 0, field: string | null = null) {
    super(message);
    this.name = 'TraceError';
    this.path = path;
    this.line = line;
    this.column = column;
    this.field = field;
  }
}

/**
 * Thrown by a row parser, which knows neither file nor line: the reader turns it into a `TraceError`, or counts the row
 * when bad rows are skipped. No stack is worth its cost for a value that is wrong in the input.
 */
export class RowFault {
  readonly field: string | null;
  readonly problem: string;
  /** Characters between the start of the line and the value. */
  readonly offset: number;

  constructor(field: string | null, problem: string, offset: number) {
    this.field = field;
    this.problem = problem;
    this.offset = offset;
  }
}

/** What a row fault says of a value: cut, so that one message stays one line. */
export function valueIs(value: unknown, allowed: string): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const quoted = text === undefined || text === '' ? 'missing' : text.length > 60 ? `${text.slice(0, 57)}...` : text;
  return `value is ${quoted}; allowed: ${allowed}`;
}
