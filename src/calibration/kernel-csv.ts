/** A table of kernel times that cannot be used. The message names the file, the line and what is wrong. */
export class KernelTableError extends Error {
  constructor(file: string, problem: string) {
    super(`${file}: ${problem}`);
    this.name = 'KernelTableError';
  }
}

/** Rows of a CSV file as text by column name. No quoting: the files have none. */
export class KernelCsv {
  readonly file: string;
  private readonly columns: ReadonlyMap<string, number>;
  private readonly lines: readonly (readonly string[])[];

  /** Throws KernelTableError for a file without rows or with rows of another width than the header. */
  constructor(file: string, text: string) {
    const lines = text
      .trimEnd()
      .split(/\r?\n/)
      .map((line) => line.split(','));
    const header = lines[0]!;
    if (lines.length < 2) throw new KernelTableError(file, 'has no rows');
    lines.forEach((line, index) => {
      if (line.length !== header.length) {
        throw new KernelTableError(
          file,
          `line ${index + 1} has ${line.length} columns, the header has ${header.length}`,
        );
      }
    });
    this.file = file;
    this.columns = new Map(header.map((name, index) => [name, index]));
    this.lines = lines;
  }

  get rows(): number {
    return this.lines.length - 1;
  }

  /** Text of a column in row 0 .. rows - 1. */
  text(row: number, column: string): string {
    const index = this.columns.get(column);
    if (index === undefined) throw new KernelTableError(this.file, `column ${column} is missing`);
    return this.lines[row + 1]![index]!;
  }

  /** A number of at least 0. */
  number(row: number, column: string): number {
    const text = this.text(row, column);
    const value = Number(text);
    if (text === '' || !(value >= 0 && Number.isFinite(value))) {
      throw new KernelTableError(
        this.file,
        `line ${row + 2}: ${column}: ${JSON.stringify(text)} is not allowed; a number of at least 0`,
      );
    }
    return value;
  }

  /** Whole nanoseconds of a column in milliseconds. */
  ns(row: number, column = 'latency'): number {
    return Math.round(this.number(row, column) * 1e6);
  }
}

/** The values in rising order, each once. */
export function rising(values: Iterable<number>): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
