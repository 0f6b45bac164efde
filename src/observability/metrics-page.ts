import type { HistogramName, MetricName } from './catalogue.ts';
import type { MetricWriter } from './metric-definition.ts';
import { PageHistogram } from './page-histogram.ts';
import { CELLS_TOTAL, cellOf, HIDDEN_CELLS, type HiddenCell, PLACES } from './page-layout.ts';

/** Bytes before the cells: the seqlock, the length of the info text, the info text itself. */
const INFO_AT = 8;
const INFO_BYTES_MAX = 2040;
const HEADER_BYTES = INFO_AT + INFO_BYTES_MAX;
/** Tries to read while nobody writes; a writer that hangs in the middle must not hang the reader. */
const READ_TRIES_MAX = 64;

export type InfoLabels = Readonly<Record<string, string>>;

/**
 * Every metric value in shared memory: each cell is written by one thread only (the engine's or the gateway's, as the
 * catalogue says) and may be read by any, whether or not the writer still answers.
 *
 * Cells that belong together (KV blocks used and cached) are written between `beginGroup` and `endGroup`, which is a
 * sequence lock: the number at [0] is odd while the engine thread writes, and a reader that saw it move reads again.
 */
export class MetricsPage {
  readonly buffer: SharedArrayBuffer;
  readonly cells: Float64Array;
  private readonly header: Int32Array;
  private readonly info: Uint8Array;

  /** Throws RangeError for a buffer of another size: it was made by another version of the catalogue. */
  constructor(buffer: SharedArrayBuffer) {
    const bytes = pageBytes();
    if (buffer.byteLength !== bytes) {
      throw new RangeError(`metrics page: ${buffer.byteLength} bytes are not allowed; this catalogue needs ${bytes}`);
    }
    this.buffer = buffer;
    this.header = new Int32Array(buffer, 0, 2);
    this.info = new Uint8Array(buffer, INFO_AT, INFO_BYTES_MAX);
    this.cells = new Float64Array(buffer, HEADER_BYTES, CELLS_TOTAL);
  }

  /** Cell of a counter or gauge. Throws RangeError for labels that the catalogue does not have. */
  cell(name: Exclude<MetricName, HistogramName>, ...labels: readonly string[]): number {
    return cellOf(name, ...labels);
  }

  hidden(name: HiddenCell): number {
    return HIDDEN_CELLS.indexOf(name);
  }

  histogram(name: HistogramName, ...labels: readonly string[]): PageHistogram {
    return new PageHistogram(this.cells, cellOf(name, ...labels), PLACES.get(name)!.definition.buckets!);
  }

  /** The engine thread begins to write cells that belong together. */
  beginGroup(): void {
    Atomics.add(this.header, 0, 1);
  }

  endGroup(): void {
    Atomics.add(this.header, 0, 1);
  }

  /** Gauges of `writer` are as before it has written any: 0, or NaN where they have nothing to say yet. */
  clearGauges(writer: MetricWriter): void {
    for (const { definition, at, series } of PLACES.values()) {
      if (definition.type !== 'gauge' || definition.writer !== writer) continue;
      this.cells.fill(definition.absentAtStart === true ? Number.NaN : 0, at, at + series.length);
    }
  }

  /** Ends a group whose writer was ended inside it. */
  releaseGroup(): void {
    if ((Atomics.load(this.header, 0) & 1) === 1) this.endGroup();
  }

  /** Labels of `engine_info`; texts that do not fit are cut from the end of the list. */
  setInfo(labels: InfoLabels): void {
    const kept = Object.entries(labels);
    let bytes = encode(kept);
    while (bytes.length > INFO_BYTES_MAX) {
      kept.pop();
      bytes = encode(kept);
    }
    this.info.set(bytes);
    Atomics.store(this.header, 1, bytes.length);
  }

  /** null until an engine has said what it is. */
  getInfo(): InfoLabels | null {
    const length = Atomics.load(this.header, 1);
    if (length === 0) return null;
    // A decoder takes no shared memory.
    return JSON.parse(new TextDecoder().decode(this.info.slice(0, length))) as InfoLabels;
  }

  /** Copies all cells as they are at one moment. */
  read(into: Float64Array): void {
    for (let tries = 0; tries < READ_TRIES_MAX; tries++) {
      const before = Atomics.load(this.header, 0);
      into.set(this.cells);
      if ((before & 1) === 0 && Atomics.load(this.header, 0) === before) return;
    }
  }
}

/** A new page: counters and buckets 0, gauges that have nothing to say yet NaN. */
export function createMetricsPage(): MetricsPage {
  const page = new MetricsPage(new SharedArrayBuffer(pageBytes()));
  for (const writer of ['engine', 'gateway', 'scrape'] as const) page.clearGauges(writer);
  for (const name of ['lastIterationNs', 'sampledNs', 'sinceIterationSeconds'] as const) {
    page.cells[page.hidden(name)] = Number.NaN;
  }
  return page;
}

/** The page of another thread. Throws RangeError for a buffer that is none. */
export function attachMetricsPage(buffer: SharedArrayBuffer): MetricsPage {
  return new MetricsPage(buffer);
}

function pageBytes(): number {
  return HEADER_BYTES + 8 * CELLS_TOTAL;
}

function encode(entries: readonly (readonly [string, string])[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
}
