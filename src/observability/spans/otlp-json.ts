import { type AttributeValue, SPAN_SCHEMA_URL, SPAN_SCOPE, type Span, type SpanAttributes } from './span.ts';

/** What all spans of a file share. */
export interface SpanSource {
  readonly resource: SpanAttributes;
  readonly version: string;
  /** Time 0 of the spans, whole seconds since 1970. */
  readonly epochSeconds: number;
}

/** Bits of a span's flags: sampled; whether the parent is remote is known, and is so. */
const SAMPLED = 0x001;
const REMOTE_KNOWN = 0x100;
const REMOTE = 0x200;

/**
 * Spans as one ExportTraceServiceRequest in OTLP/JSON (opentelemetry-proto, "JSON Protobuf Encoding": ids in hexadecimal, 64-bit
 * times as decimal text), without a line break: a line of the collector's file format. What OpenTelemetry's own serializer writes,
 * in a fifth of its time.
 */
export function otlpJson(spans: readonly Span[], source: SpanSource): string {
  const scope = `{"name":${text(SPAN_SCOPE)},"version":${text(source.version)}}`;
  const resource = `{"attributes":${attributesJson(source.resource)},"droppedAttributesCount":0}`;
  const list = spans.map((span) => spanJson(span, source.epochSeconds)).join(',');
  const scopeSpans = `[{"scope":${scope},"spans":[${list}],"schemaUrl":${text(SPAN_SCHEMA_URL)}}]`;
  return `{"resourceSpans":[{"resource":${resource},"scopeSpans":${scopeSpans}}]}`;
}

function spanJson(span: Span, epochSeconds: number): string {
  const parent = span.parentSpanId === null ? '' : `"parentSpanId":"${span.parentSpanId}",`;
  const times = `"startTimeUnixNano":"${unixNano(span.startNs, epochSeconds)}","endTimeUnixNano":"${unixNano(span.endNs, epochSeconds)}"`;
  const kind = span.kind === 'server' ? 2 : 1;
  const flags = SAMPLED | REMOTE_KNOWN | (span.parentSpanId !== null && span.parentIsRemote ? REMOTE : 0);
  return (
    `{"traceId":"${span.traceId}","spanId":"${span.spanId}",${parent}"name":"${span.name}","kind":${kind},${times},` +
    `"attributes":${attributesJson(span.attributes)},"droppedAttributesCount":0,"events":[],"droppedEventsCount":0,` +
    `"status":{"code":${span.failed ? 2 : 0}},"links":[],"droppedLinksCount":0,"flags":${flags}}`
  );
}

function attributesJson(attributes: SpanAttributes): string {
  let json = '';
  for (const name in attributes) {
    json += `${json === '' ? '' : ','}{"key":"${name}","value":${valueJson(attributes[name]!)}}`;
  }
  return `[${json}]`;
}

function valueJson(value: AttributeValue): string {
  if (typeof value === 'string') return `{"stringValue":${text(value)}}`;
  if (typeof value === 'boolean') return `{"boolValue":${value}}`;
  if (typeof value === 'number') return Number.isInteger(value) ? `{"intValue":${value}}` : `{"doubleValue":${value}}`;
  return `{"arrayValue":{"values":[${value.map((each) => valueJson(each)).join(',')}]}}`;
}

/** Nanoseconds since 1970 in decimal: more digits than a number holds. */
function unixNano(ns: number, epochSeconds: number): string {
  const seconds = Math.floor(ns / 1e9);
  const rest = String(ns - 1e9 * seconds).padStart(9, '0');
  return epochSeconds + seconds === 0 ? String(ns) : `${epochSeconds + seconds}${rest}`;
}

/** Most texts are plain words. */
function text(value: string): string {
  return /^[\w./:-]*$/.test(value) ? `"${value}"` : JSON.stringify(value);
}
