import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as the sink decodes it from OTLP/JSON. */
export interface ReceivedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  /** OTLP's numbers: 1 internal, 2 server. */
  readonly kind: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 2 = error. */
  readonly status: number;
  readonly schemaUrl: string;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
}

/** An ExportTraceServiceRequest in OTLP/JSON, as far as it is read here. */
interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly {
      readonly schemaUrl?: string;
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly kind: number;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes: readonly OtlpAttribute[];
        readonly status: { readonly code?: number };
        readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
      }[];
    }[];
  }[];
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

export interface OtlpSink {
  /** Base address, for `tracing.endpoint`. */
  readonly endpoint: string;
  readonly spans: ReceivedSpan[];
  /** Bodies that were no JSON, by content type. */
  readonly otherBodies: { readonly contentType: string; readonly bytes: number }[];
  /** Answers are held back until `release`. */
  hold(): void;
  release(): void;
  /** Status of the next answers. */
  status: number;
  traces(): Map<string, ReceivedSpan[]>;
  close(): Promise<void>;
}

/** A collector in this process. */
export async function startOtlpSink(): Promise<OtlpSink> {
  let held: (() => void)[] | null = null;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const contentType = request.headers['content-type'] ?? '';
      const answer = () => {
        if (sink.status === 200) take(sink, contentType, body);
        response.writeHead(sink.status, { 'content-type': contentType });
        response.end(contentType === 'application/json' ? '{}' : '');
      };
      if (held === null) answer();
      else held.push(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sink: OtlpSink = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [],
    otherBodies: [],
    status: 200,
    hold() {
      held = [];
    },
    release() {
      const waiting = held ?? [];
      held = null;
      for (const answer of waiting) answer();
    },
    traces() {
      const traces = new Map<string, ReceivedSpan[]>();
      for (const span of sink.spans) {
        const others = traces.get(span.traceId);
        if (others === undefined) traces.set(span.traceId, [span]);
        else others.push(span);
      }
      return traces;
    },
    close() {
      sink.release();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return sink;
}

function take(sink: OtlpSink, contentType: string, body: Buffer): void {
  if (contentType !== 'application/json') sink.otherBodies.push({ contentType, bytes: body.length });
  else sink.spans.push(...readOtlpJson(body.toString('utf8')));
}

/** Spans of one request in OTLP/JSON: a body, or a line of a file. */
export function readOtlpJson(text: string): ReceivedSpan[] {
  const request = JSON.parse(text) as OtlpRequest;
  return request.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ schemaUrl = '', spans }) =>
      spans.map((span) => ({
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? null,
        kind: span.kind,
        startNs: BigInt(span.startTimeUnixNano),
        endNs: BigInt(span.endTimeUnixNano),
        attributes: attributesOf(span.attributes),
        status: span.status.code ?? 0,
        schemaUrl,
        links: span.links ?? [],
        resource: attributesOf(resource.attributes),
      })),
    ),
  );
}

function attributesOf(attributes: readonly OtlpAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]));
}

function plainValue(value: Readonly<Record<string, unknown>>): unknown {
  if ('arrayValue' in value) {
    const { values } = value['arrayValue'] as { values: Record<string, unknown>[] };
    return values.map(plainValue);
  }
  return Object.values(value)[0];
}
