/** An event of the Trace Event Format, as far as tests read it. Times are microseconds. */
export interface TraceEvent {
  readonly ph: 'M' | 'X' | 'B' | 'E' | 'i' | 'C';
  readonly pid: number;
  readonly tid?: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly name?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

/** A slice, with those inside it. */
export interface Slice {
  readonly name: string;
  readonly start: number;
  end: number;
  args: Record<string, unknown>;
  readonly children: Slice[];
}

export interface ReadTrace {
  readonly events: readonly TraceEvent[];
  /** Outermost slices by track, `process/track`. */
  readonly tracks: ReadonlyMap<string, readonly Slice[]>;
  /** Values over time by counter, `name.entry`. */
  readonly counters: ReadonlyMap<string, readonly (readonly [ts: number, value: number])[]>;
  readonly about: Readonly<Record<string, unknown>>;
}

/** Microseconds as doubles: sums may differ in the last bits. */
const ROUNDING = 1e-4;

/**
 * Reads a trace as Perfetto does, and throws where it would drop or bend something: text that is no JSON, a track without a
 * name, time that goes back on a track, a negative length, slices that overlap without one holding the other, an end without
 * a beginning, a beginning without an end.
 */
export function readTrace(text: string): ReadTrace {
  const { traceEvents: events, otherData: about } = JSON.parse(text) as {
    traceEvents: TraceEvent[];
    otherData: Record<string, unknown>;
  };
  const names = trackNames(events);
  const tracks = new Map<string, Slice[]>();
  const open = new Map<string, Slice[]>();
  const lastNs = new Map<string, number>();
  const counters = new Map<string, [number, number][]>();
  for (const event of events) {
    if (event.ph === 'M') continue;
    const ts = event.ts!;
    if (!(ts >= 0)) throw new Error(`no time: ${JSON.stringify(event)}`);
    if (event.ph === 'C') {
      for (const [entry, value] of Object.entries(event.args!)) {
        const name = `${event.name}.${entry}`;
        const values = counters.get(name) ?? [];
        if (values.length > 0 && values.at(-1)![0] > ts) throw new Error(`${name} goes back: ${JSON.stringify(event)}`);
        values.push([ts, value as number]);
        counters.set(name, values);
      }
      continue;
    }
    const track = names.get(`${event.pid}/${event.tid}`);
    if (track === undefined) throw new Error(`a track without a name: ${JSON.stringify(event)}`);
    if (ts < (lastNs.get(track) ?? 0)) throw new Error(`${track} goes back: ${JSON.stringify(event)}`);
    lastNs.set(track, ts);
    const stack = open.get(track) ?? [];
    open.set(track, stack);
    place(event, ts, stack, tracks, track);
  }
  for (const [track, stack] of open) if (stack.length > 0) throw new Error(`${track}: ${stack[0]!.name} does not end`);
  return { events, tracks, counters, about };
}

function place(event: TraceEvent, ts: number, stack: Slice[], tracks: Map<string, Slice[]>, track: string): void {
  if (event.ph === 'i') return;
  if (event.ph === 'E') {
    const slice = stack.pop();
    if (slice === undefined) throw new Error(`${track}: an end without a beginning: ${JSON.stringify(event)}`);
    const lastEnd = slice.children.at(-1)?.end ?? slice.start;
    if (ts < lastEnd - ROUNDING) throw new Error(`${track}: ${slice.name} ends before what is in it`);
    slice.end = ts;
    Object.assign(slice.args, event.args);
    return;
  }
  const dur = event.ph === 'X' ? event.dur! : Number.POSITIVE_INFINITY;
  if (!(dur >= 0)) throw new Error(`a negative length: ${JSON.stringify(event)}`);
  const slice = { name: event.name!, start: ts, end: ts + dur, args: { ...event.args }, children: [] };
  const siblings = stack.at(-1)?.children ?? tracks.get(track) ?? [];
  if (stack.length === 0) tracks.set(track, siblings);
  const before = siblings.at(-1);
  if (before !== undefined && before.end > ts + ROUNDING)
    throw new Error(`${track}: ${before.name} and ${slice.name} overlap`);
  siblings.push(slice);
  if (event.ph === 'B') stack.push(slice);
}

function trackNames(events: readonly TraceEvent[]): Map<string, string> {
  const processes = new Map<number, string>();
  const names = new Map<string, string>();
  for (const { ph, name, pid, tid, args } of events) {
    if (ph !== 'M') continue;
    if (name === 'process_name') processes.set(pid, String(args!['name']));
    if (name === 'thread_name') names.set(`${pid}/${tid}`, `${processes.get(pid)}/${String(args!['name'])}`);
  }
  return names;
}

/** The slices of all requests' tracks, by request. */
export function requestSlices(trace: ReadTrace): Map<string, Slice[]> {
  const requests = new Map<string, Slice[]>();
  for (const [track, slices] of trace.tracks) {
    if (!track.startsWith('requests/')) continue;
    for (const slice of slices) {
      const name = String(slice.args['request']);
      requests.set(name, [...(requests.get(name) ?? []), slice]);
    }
  }
  return requests;
}
