import type { Logger } from 'pino';
import type { TracingConfig } from '../../config/serve-config.ts';
import type { Guard } from '../../gateway/guard.ts';
import { RequestTracing } from '../../gateway/tracing/request-tracing.ts';
import type { MetricsPage } from '../../observability/index.ts';
import { TraceMetrics } from '../../observability/spans/index.ts';
import { epochOriginMs, epochSeconds, wallNs } from '../system-clock.ts';
import { simulatedDeviceNames } from './device-names.ts';
import { openOtlpExporter } from './otlp-exporter.ts';
import type { SpanOrigin } from './otlp-spans.ts';
import { SpanQueue } from './span-queue.ts';

export interface Tracing {
  readonly requests: RequestTracing;
  /** Sends what is left, for a few seconds at most. */
  close(): Promise<void>;
}

export interface TracedServer {
  readonly page: MetricsPage;
  readonly log: Logger;
  readonly guard: Guard;
  readonly model: string;
  readonly backend: string;
  readonly version: string;
  readonly tensorParallel: number;
  /** How long spans that wait at the end are sent. */
  readonly closeMs: number;
}

const WARN_MS = 60_000;
/** The wall clock was set: spans follow it from here on. */
const CLOCK_STEP_MS = 100;

/** Loads OpenTelemetry and makes what turns requests into traces. */
export async function startTracing(config: TracingConfig, server: TracedServer): Promise<Tracing> {
  const { page, log, model, version } = server;
  const metrics = new TraceMetrics(page);
  const origin = await spanOrigin(server);
  const exporter = await openOtlpExporter({ endpoint: config.endpoint, protocol: config.protocol, origin });
  let warnedNs = Number.NEGATIVE_INFINITY;
  const queue = new SpanQueue({
    exporter,
    spansMax: config.queueSpansMax,
    metrics,
    guard: server.guard,
    onFailure(error, spans) {
      if (wallNs() - warnedNs < WARN_MS * 1e6) return;
      warnedNs = wallNs();
      log.warn({ error, spans }, 'spans were not taken by the collector (said once a minute)');
    },
  });
  const requests = new RequestTracing({
    rules: { slowTtftMs: config.slowTtftMs, sampleRatio: config.sampleRatio },
    userId: config.userId,
    model,
    device: simulatedDeviceNames(server.tensorParallel),
    metrics,
    take: (spans) => queue.take(spans),
    nowNs: wallNs,
    epochSeconds,
  });
  log.info(
    { endpoint: config.endpoint, protocol: config.protocol, sampleRatio: config.sampleRatio, version },
    'traces',
  );
  return { requests, close: () => queue.close(server.closeMs) };
}

/** One origin for all spans, so that they stay in order, until the wall clock is set anew. */
async function spanOrigin(server: TracedServer): Promise<() => SpanOrigin> {
  const { detectResources, envDetector, resourceFromAttributes } = await import('@opentelemetry/resources');
  const resource = resourceFromAttributes({
    'service.name': 'twinfer',
    'service.version': server.version,
    // Keeps simulated and real traces apart.
    'twinfer.backend': server.backend,
  }).merge(detectResources({ detectors: [envDetector] }));
  let held: SpanOrigin = { resource, version: server.version, epochMs: epochOriginMs() };
  return () => {
    const epochMs = epochOriginMs();
    if (Math.abs(epochMs - held.epochMs) > CLOCK_STEP_MS) held = { ...held, epochMs };
    return held;
  };
}
