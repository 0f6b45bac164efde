import { RowFault, valueIs } from '../trace-error.ts';

/** A row of a JSONL trace. */
export type JsonRow = Record<string, unknown>;

/** Parses one line into an object; RowFault when it is none. */
export function parseJsonRow(line: string): JsonRow {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    // V8 names the place in the message, the only way to learn it.
    const position = /position (\d+)/.exec(String(error))?.[1];
    throw new RowFault(null, valueIs(line, 'one JSON object per line'), position === undefined ? 0 : Number(position));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RowFault(null, valueIs(line, 'one JSON object per line'), 0);
  }
  return value as JsonRow;
}

/** The object of a first line, or null when it is none: for `detect`. */
export function tryJsonRow(line: string): JsonRow | null {
  try {
    return parseJsonRow(line);
  } catch {
    return null;
  }
}

/** The fault of field `name` of a line, pointing at its value (or at the line's start when the field is missing). */
export function jsonFault(line: string, name: string, value: unknown, allowed: string): RowFault {
  const key = JSON.stringify(name);
  // The last one: of repeated keys JSON.parse keeps the last.
  let at = line.lastIndexOf(key);
  if (at < 0) return new RowFault(name, valueIs(value, allowed), 0);
  at += key.length;
  while (line[at] === ' ' || line[at] === ':' || line[at] === '\t') at++;
  return new RowFault(name, valueIs(value, allowed), at);
}

/** End of the line that begins at bytes[from]: the index of its line feed. */
export function lineFeed(bytes: Buffer, from: number): number {
  return bytes.indexOf(10, from);
}
