/** Characters handed on at once, about. */
const CHUNK_CHARACTERS = 1 << 16;

/** Values of a slice's arguments. */
export type TraceArgs = Readonly<Record<string, unknown>>;

/**
 * Writes the Trace Event Format that Perfetto (ui.perfetto.dev) and chrome://tracing open, as text in chunks:
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Times are nanoseconds; the format's are
 * microseconds with fractions.
 */
export class TraceEvents {
  private readonly write: (chunk: string) => void;
  private chunk = '{"displayTimeUnit":"ms","traceEvents":[';
  private first = true;

  constructor(write: (chunk: string) => void) {
    this.write = write;
  }

  processName(pid: number, name: string): void {
    this.event(`"ph":"M","pid":${pid},"tid":0,"name":"process_name","args":{"name":${JSON.stringify(name)}}`);
    this.event(`"ph":"M","pid":${pid},"tid":0,"name":"process_sort_index","args":{"sort_index":${pid}}`);
  }

  /** Tracks of a process are shown in the order of their numbers. */
  trackName(pid: number, tid: number, name: string): void {
    this.event(`"ph":"M","pid":${pid},"tid":${tid},"name":"thread_name","args":{"name":${JSON.stringify(name)}}`);
    this.event(`"ph":"M","pid":${pid},"tid":${tid},"name":"thread_sort_index","args":{"sort_index":${tid}}`);
  }

  /** A slice from start to end. */
  slice(pid: number, tid: number, name: string, startNs: number, endNs: number, args: TraceArgs | null): void {
    this.event(
      `"ph":"X","pid":${pid},"tid":${tid},"ts":${us(startNs)},"dur":${us(endNs - startNs)},"name":${JSON.stringify(name)}${argsText(args)}`,
    );
  }

  /** A slice that holds others begins; `end` closes the last one that began on the track. */
  begin(pid: number, tid: number, name: string, ns: number, args: TraceArgs): void {
    this.event(`"ph":"B","pid":${pid},"tid":${tid},"ts":${us(ns)},"name":${JSON.stringify(name)}${argsText(args)}`);
  }

  end(pid: number, tid: number, ns: number, args: TraceArgs): void {
    this.event(`"ph":"E","pid":${pid},"tid":${tid},"ts":${us(ns)}${argsText(args)}`);
  }

  instant(pid: number, tid: number, name: string, ns: number, args: TraceArgs): void {
    this.event(
      `"ph":"i","s":"t","pid":${pid},"tid":${tid},"ts":${us(ns)},"name":${JSON.stringify(name)}${argsText(args)}`,
    );
  }

  /** One track per entry of `values`, each with the value from now on. */
  counter(pid: number, name: string, ns: number, values: Readonly<Record<string, number>>): void {
    this.event(`"ph":"C","pid":${pid},"ts":${us(ns)},"name":${JSON.stringify(name)}${argsText(values)}`);
  }

  /** The text is complete. `other`: facts about all of it. */
  close(other: TraceArgs): void {
    this.chunk += `],"otherData":${JSON.stringify(other)}}\n`;
    this.write(this.chunk);
    this.chunk = '';
  }

  private event(fields: string): void {
    this.chunk += this.first ? `\n{${fields}}` : `,\n{${fields}}`;
    this.first = false;
    if (this.chunk.length < CHUNK_CHARACTERS) return;
    this.write(this.chunk);
    this.chunk = '';
  }
}

/** Exact to the nanosecond. */
function us(ns: number): string {
  return Number.isInteger(ns) ? String(ns / 1000) : (ns / 1000).toFixed(3);
}

function argsText(args: TraceArgs | null): string {
  return args === null ? '' : `,"args":${JSON.stringify(args)}`;
}
