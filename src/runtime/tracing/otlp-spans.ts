import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import type { Resource } from '@opentelemetry/resources';
import { SPAN_SCHEMA_URL, SPAN_SCOPE, type Span } from '../../observability/spans/index.ts';

/** A span as OpenTelemetry's exporters and serializers take it. */
export type OtlpSpan = Parameters<OTLPTraceExporter['export']>[0][number];

/** Seconds and nanoseconds, each whole, as OpenTelemetry has its times. */
type HrTime = [number, number];

const SAMPLED = 1;

/** What all spans of a process or run share. */
export interface SpanOrigin {
  readonly resource: Resource;
  readonly version: string;
  /** Time 0 of the spans, ms since 1970; may have a fraction. */
  readonly epochMs: number;
}

/** `SpanKind` and status are OpenTelemetry's numbers; times become absolute, exact to the nanosecond but for the origin's own error. */
export function otlpSpan(span: Span, origin: SpanOrigin): OtlpSpan {
  const { traceId, spanId, parentSpanId } = span;
  const context = { traceId, spanId, traceFlags: SAMPLED };
  return {
    name: span.name,
    kind: span.kind === 'server' ? SpanKind.SERVER : SpanKind.INTERNAL,
    spanContext: () => context,
    ...(parentSpanId === null
      ? {}
      : {
          parentSpanContext: { traceId, spanId: parentSpanId, traceFlags: SAMPLED, isRemote: span.parentIsRemote },
        }),
    startTime: hrTime(span.startNs, origin.epochMs),
    endTime: hrTime(span.endNs, origin.epochMs),
    duration: hrTime(span.endNs - span.startNs, 0),
    ended: true,
    status: { code: span.failed ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: span.attributes as OtlpSpan['attributes'],
    links: (span.links ?? []).map((link) => ({ context: { ...link, traceFlags: SAMPLED } })),
    events: [],
    resource: origin.resource,
    instrumentationScope: { name: SPAN_SCOPE, version: origin.version, schemaUrl: SPAN_SCHEMA_URL },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: span.linksDropped ?? 0,
  };
}

function hrTime(ns: number, epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  const rest = ns + Math.round((epochMs - 1000 * seconds) * 1e6);
  return [seconds + Math.floor(rest / 1e9), rest - 1e9 * Math.floor(rest / 1e9)];
}
