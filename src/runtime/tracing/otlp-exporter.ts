import type { OtlpProtocol } from '../../config/serve-config.ts';
import { type OtlpSpan, otlpSpan, type SpanOrigin } from './otlp-spans.ts';
import type { SpanExporter } from './span-queue.ts';

/** What OpenTelemetry's exporters have in common. */
interface Exporter {
  export(spans: OtlpSpan[], done: (result: { readonly code: number; readonly error?: Error }) => void): void;
  shutdown(): Promise<void>;
}

export interface OtlpExporterOptions {
  /** Base address; null: the OTEL_EXPORTER_OTLP_* variables say. */
  readonly endpoint: string | null;
  readonly protocol: OtlpProtocol;
  readonly origin: () => SpanOrigin;
}

/**
 * OpenTelemetry's own exporter of a protocol, with its retries, headers, compression and certificates from the standard variables. It is loaded
 * here and nowhere else, so that a server without traces does not pay for it.
 */
export async function openOtlpExporter(options: OtlpExporterOptions): Promise<SpanExporter> {
  const exporter = await load(options);
  return {
    export(spans, done) {
      const origin = options.origin();
      exporter.export(
        spans.map((span) => otlpSpan(span, origin)),
        ({ code, error }) => done(code === 0 ? null : (error?.message ?? 'the collector did not take the spans')),
      );
    },
    close: () => exporter.shutdown(),
  };
}

async function load({ endpoint, protocol }: OtlpExporterOptions): Promise<Exporter> {
  const url = endpoint === null ? {} : { url: protocol === 'grpc' ? endpoint : tracesUrl(endpoint) };
  switch (protocol) {
    case 'http/protobuf':
      return new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter(url);
    case 'http/json':
      return new (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter(url);
    case 'grpc':
      return new (await import('@opentelemetry/exporter-trace-otlp-grpc')).OTLPTraceExporter(url);
  }
}

/** As the standard's OTEL_EXPORTER_OTLP_ENDPOINT: the signal's path is appended. */
function tracesUrl(endpoint: string): string {
  return /\/v1\/traces\/?$/.test(endpoint) ? endpoint : `${endpoint.replace(/\/+$/, '')}/v1/traces`;
}
