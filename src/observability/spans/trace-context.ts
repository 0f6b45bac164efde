/** Where a request stands in a trace. */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string;
  /** Of the request's own server span: 16 digits. */
  readonly spanId: string;
  /** The caller's span, or null. */
  readonly parentSpanId: string | null;
  /** Whether the caller keeps its part; null without a caller. */
  readonly parentSampled: boolean | null;
}

/** What a caller's `traceparent` says. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** A header of W3C Trace Context, or null when it is none: then the trace begins here. Later versions are read as far as 00 goes. */
export function parseTraceparent(header: string | undefined): TraceParent | null {
  const match = header === undefined ? null : TRACEPARENT.exec(header.trim());
  if (match === null) return null;
  const [, version, traceId, spanId, flags, rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (/^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return null;
  return { traceId: traceId!, spanId: spanId!, sampled: (Number.parseInt(flags!, 16) & 1) === 1 };
}

export function formatTraceparent(traceId: string, spanId: string, sampled: boolean): string {
  return `00-${traceId}-${spanId}-0${sampled ? 1 : 0}`;
}

/** Ids of the spans below a server span: its own id counted on, so that one draw is enough for a request. Never zero. */
export class SpanIds {
  private readonly high: string;
  private readonly low: number;
  private count = 0;

  constructor(serverSpanId: string) {
    this.high = serverSpanId.slice(0, 8);
    this.low = Number.parseInt(serverSpanId.slice(8), 16);
  }

  next(): string {
    const low = (this.low + ++this.count) >>> 0;
    // An id of zeros is none; the upper half may be zero.
    return low === 0 ? this.next() : this.high + low.toString(16).padStart(8, '0');
  }
}

/** `bytes`: at least 24 random ones, 16 of the trace and 8 of the span. */
export function traceContext(parent: TraceParent | null, bytes: Uint8Array): TraceContext {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 24).toString('hex');
  const spanId = /^0+$/.test(hex.slice(32)) ? '0000000000000001' : hex.slice(32);
  const own = /^0+$/.test(hex.slice(0, 32)) ? `${'0'.repeat(31)}1` : hex.slice(0, 32);
  return {
    traceId: parent === null ? own : parent.traceId,
    spanId,
    parentSpanId: parent === null ? null : parent.spanId,
    parentSampled: parent === null ? null : parent.sampled,
  };
}
