import type { MetricsHistory } from './metrics-history.ts';
import type { InfoLabels } from './metrics-page.ts';
import { CELLS_TOTAL, HIDDEN_CELLS, PLACES } from './page-layout.ts';

/**
 * The lines of a recording: a header, then a row per sample, as JSON. A header names the cells; a row is
 * `[timeSeconds, cell, value, cell, value, ...]` with the cells that have changed since the row before (the first row of a
 * header: since 0), null = no sample; `[timeSeconds, "down"]` is a scrape that failed. A further header begins anew: the server was started again and appended.
 */
export interface RecordingHeader {
  readonly format: 'twinfer-metrics';
  readonly version: 1;
  readonly intervalSeconds: number;
  readonly info: InfoLabels | null;
  /** Name of each cell, as Prometheus writes series; buckets are not cumulative. */
  readonly cells: readonly string[];
}

/** What is wrong with a line. */
export class RecordingFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RecordingFormatError';
  }
}

/** Name of each cell of a page, by its index. */
function cellNames(): readonly string[] {
  const names: string[] = [...HIDDEN_CELLS];
  for (const { definition, series, stride } of PLACES.values()) {
    const labels = definition.labels ?? [];
    for (const values of series) {
      const pairs = labels.map(({ name }, i) => `${name}="${values[i]}"`);
      if (stride === 1) names.push(seriesName(definition.name, pairs));
      else {
        for (const le of [...definition.buckets!.map(String), '+Inf']) {
          names.push(seriesName(`${definition.name}_bucket`, [...pairs, `le="${le}"`]));
        }
        names.push(seriesName(`${definition.name}_sum`, pairs));
      }
    }
  }
  return names;
}

function seriesName(name: string, pairs: readonly string[]): string {
  return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`;
}

/** Makes the lines of one header and its rows; lines have no end of line. */
export class RecordingEncoder {
  private readonly before = new Float64Array(CELLS_TOTAL);

  /** Rows after this begin anew. */
  header(intervalSeconds: number, info: InfoLabels | null): string {
    this.before.fill(0);
    const header: RecordingHeader = {
      format: 'twinfer-metrics',
      version: 1,
      intervalSeconds,
      info,
      cells: cellNames(),
    };
    return JSON.stringify(header);
  }

  row(timeSeconds: number, cells: Float64Array): string {
    const { before } = this;
    const row: (number | null)[] = [timeSeconds];
    for (let i = 0; i < CELLS_TOTAL; i++) {
      const value = cells[i]!;
      // Object.is keeps NaN equal to itself.
      if (!Object.is(value, before[i])) row.push(i, Number.isNaN(value) ? null : value);
    }
    before.set(cells);
    return JSON.stringify(row);
  }

  /** A scrape that failed. */
  down(timeSeconds: number): string {
    return JSON.stringify([timeSeconds, 'down']);
  }
}

/** Reads the lines back into a history; cells are found by name, so that a recording outlives changes of the catalogue. */
export class RecordingDecoder {
  private readonly make: (intervalSeconds: number) => MetricsHistory;
  private found: MetricsHistory | null = null;
  private readonly cells = new Float64Array(CELLS_TOTAL);
  /** Our cell of each of the recording's, -1 = one that this catalogue does not have, or whose metric has changed. */
  private places: Int32Array = new Int32Array(0);
  private lastSeconds = Number.NEGATIVE_INFINITY;
  /** The clock may have been set back before a later header; its rows count once they are later than those before. */
  private later = false;

  /** `make`: the history to fill, when its interval is known. */
  constructor(make: (intervalSeconds: number) => MetricsHistory) {
    this.make = make;
  }

  /** null: no header has come yet. */
  get history(): MetricsHistory | null {
    return this.found;
  }

  /** Throws RecordingFormatError. */
  line(text: string): void {
    const value = parsed(text);
    if (Array.isArray(value)) this.row(value);
    else this.header(checkedHeader(value));
  }

  private header(header: RecordingHeader): void {
    this.later = this.found !== null;
    this.found ??= this.make(header.intervalSeconds);
    this.found.info = header.info ?? this.found.info;
    this.places = placesOf(header.cells);
    if (this.places.every((place) => place < 0)) {
      throw new RecordingFormatError('none of its metrics is in the catalogue of this version');
    }
    this.cells.set(emptyCells(this.places));
  }

  private row(row: readonly unknown[]): void {
    const { found } = this;
    if (found === null) throw new RecordingFormatError('a row before the header');
    const time = row[0];
    const down = row.length === 2 && row[1] === 'down';
    if (typeof time !== 'number' || (row.length % 2 === 0 && !down)) {
      throw new RecordingFormatError('a row that is not [seconds, cell, value, ...]');
    }
    if (!down) this.change(row);
    if (time <= this.lastSeconds) {
      if (this.later) return;
      throw new RecordingFormatError(
        `time ${time} is not allowed; allowed: above ${this.lastSeconds}, of the row before`,
      );
    }
    this.later = false;
    this.lastSeconds = time;
    if (down) found.addDown(time);
    else found.add(time, this.cells);
  }

  private change(row: readonly unknown[]): void {
    const { places, cells } = this;
    for (let i = 1; i < row.length; i += 2) {
      const [cell, value] = [row[i], row[i + 1]];
      const place = typeof cell === 'number' ? places[cell] : undefined;
      if (place === undefined || !(value === null || typeof value === 'number')) {
        throw new RecordingFormatError(
          `cell ${JSON.stringify(cell)} = ${JSON.stringify(value)} is not allowed; allowed: a number or null for cells 0 to ${places.length - 1}`,
        );
      }
      if (place >= 0) cells[place] = value ?? Number.NaN;
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RecordingFormatError('not JSON');
  }
}

function checkedHeader(value: unknown): RecordingHeader {
  const header = value as Partial<RecordingHeader> | null;
  if (header?.format !== 'twinfer-metrics') {
    throw new RecordingFormatError('not a recording of metrics; allowed: what --record or --metrics has written');
  }
  if (header.version !== 1) {
    throw new RecordingFormatError(`version ${JSON.stringify(header.version)} is not allowed; allowed: 1`);
  }
  const { intervalSeconds, cells } = header;
  if (!(typeof intervalSeconds === 'number' && intervalSeconds > 0)) {
    throw new RecordingFormatError(
      `intervalSeconds ${JSON.stringify(intervalSeconds)} is not allowed; allowed: above 0`,
    );
  }
  if (!Array.isArray(cells) || !cells.every((name) => typeof name === 'string')) {
    throw new RecordingFormatError('cells is not a list of names');
  }
  return header as RecordingHeader;
}

/**
 * A metric counts only where all its cells are there: a histogram recorded with other buckets cannot be told apart from one
 * that observed less.
 */
function placesOf(names: readonly string[]): Int32Array {
  const ours = new Map(cellNames().map((name, index) => [name, index]));
  const theirs = new Set(names);
  const whole = new Map<string, boolean>();
  for (const name of [...ours.keys(), ...names]) {
    const metric = metricOf(name);
    whole.set(metric, (whole.get(metric) ?? true) && ours.has(name) && theirs.has(name));
  }
  return Int32Array.from(names, (name) => (whole.get(metricOf(name)) === true ? ours.get(name)! : -1));
}

/** `a_bucket{le="1"}` is a cell of `a`; labels of what is no histogram do not make it another metric. */
function metricOf(cell: string): string {
  return cell.replace(/\{.*$/, '').replace(/_(?:bucket|sum)$/, '');
}

/** Before the first row: 0, but no sample of what the recording does not have and what has none at first. */
function emptyCells(places: Int32Array): Float64Array {
  const cells = new Float64Array(CELLS_TOTAL);
  const known = new Set(places);
  for (let i = 0; i < CELLS_TOTAL; i++) if (!known.has(i)) cells[i] = Number.NaN;
  return cells;
}
