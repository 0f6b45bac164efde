import { createHash, randomFillSync } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { GatewayOutcome } from '../../observability/index.ts';
import {
  type DeviceNames,
  formatTraceparent,
  inRatio,
  type KeepRules,
  keepReason,
  parseTraceparent,
  type RequestFacts,
  ratioPosition,
  requestSpans,
  type SequenceRecord,
  type Span,
  type SpanLink,
  type StepSpanTimes,
  stepSpan,
  TraceExemplars,
  type TraceMetrics,
  traceContext,
  ttftMs,
} from '../../observability/spans/index.ts';
import type { StepRecord } from '../../observability/timeline/index.ts';
import { RequestTrace } from './request-trace.ts';

export interface RequestTracingOptions {
  readonly rules: KeepRules;
  /** Spans carry a hash of the request's `user`. */
  readonly userId: boolean;
  readonly model: string;
  readonly device: DeviceNames;
  readonly metrics: TraceMetrics;
  /** Takes the spans of a kept trace, all or none. */
  readonly take: (spans: readonly Span[]) => void;
  readonly nowNs: () => number;
  readonly epochSeconds: () => number;
}

/** Asked for by machines every few seconds. */
const UNTRACED = /^\/(?:metrics|health|dashboard|load|version|openapi\.json)(?:\/|$)/;
/** Requests' worth of random bytes drawn at once. */
const DRAWS = 256;
const DRAW_BYTES = 24;

/**
 * Traces of the gateway's requests. Nothing of a span exists while a request runs: facts of the gateway and records of the engine
 * are put together when both have ended, and only then it is decided whether they are worth keeping.
 */
export class RequestTracing {
  readonly exemplars = new TraceExemplars();
  private readonly options: RequestTracingOptions;
  /** Of requests that are with the engine, by the engine's id. */
  private readonly byEngineId = new Map<number, RequestTrace>();
  private readonly random = new Uint8Array(DRAWS * DRAW_BYTES);
  private drawn = DRAWS;
  private open = 0;
  /** While a step trace is recorded: whose span a request of the engine belongs to. */
  private stepTrace: Map<number, SpanLink> | null = null;

  constructor(options: RequestTracingOptions) {
    this.options = options;
  }

  /** Traces that are not complete, and requests of the engine that owe a record. */
  get live(): { readonly traces: number; readonly engineRequests: number } {
    return { traces: this.open, engineRequests: this.byEngineId.size };
  }

  /** A request has come; null when it is none that is traced. `end` is called once for it. */
  begin(request: FastifyRequest): RequestTrace | null {
    if (UNTRACED.test(request.url.split('?', 1)[0]!)) return null;
    const header = request.headers['traceparent'];
    const parent = parseTraceparent(typeof header === 'string' ? header : undefined);
    this.open++;
    return new RequestTrace(traceContext(parent, this.draw()), request.id, this.options.nowNs());
  }

  /** The header of its response. The flag says what is known by then: errors and slow requests are found out later. */
  responseHeader(trace: RequestTrace): string {
    const { traceId, spanId, parentSampled } = trace.context;
    const sampled = parentSampled ?? inRatio(ratioPosition(traceId), this.options.rules.sampleRatio);
    return formatTraceparent(traceId, spanId, sampled);
  }

  /** A pseudonym: the same user gives the same one, and nobody reads the name from it. null where users are not traced. */
  userId(user: string | null): string | null {
    if (user === null || !this.options.userId) return null;
    return createHash('sha256').update(user, 'utf8').digest('hex').slice(0, 16);
  }

  /** The engine has got a request of this trace: one record will come for each of its sequences. */
  submitted(trace: RequestTrace, engineId: number, sequences: number): void {
    this.byEngineId.set(engineId, trace);
    this.stepTrace?.set(engineId, trace.context);
    trace.owed.set(engineId, sequences);
  }

  /** Of the engine; those of requests that nobody knows (any more) count for nothing. */
  records(records: readonly SequenceRecord[]): void {
    for (const record of records) {
      const trace = this.byEngineId.get(record.requestId);
      if (trace === undefined) continue;
      trace.records.push(record);
      const left = trace.owed.get(record.requestId)! - 1;
      if (left > 0) {
        trace.owed.set(record.requestId, left);
        continue;
      }
      trace.owed.delete(record.requestId);
      this.byEngineId.delete(record.requestId);
      this.settle(trace);
    }
  }

  /** The engine is gone: nothing more comes from it. */
  engineLost(): void {
    const traces = new Set(this.byEngineId.values());
    this.byEngineId.clear();
    for (const trace of traces) {
      trace.owed.clear();
      this.settle(trace);
    }
  }

  /** A step trace begins: requests are remembered until `endSteps`. */
  beginSteps(): void {
    this.stepTrace = new Map([...this.byEngineId].map(([id, trace]) => [id, trace.context]));
  }

  /** Makes a span of a step of the trace, with links to its requests. */
  step(step: StepRecord, times: StepSpanTimes): void {
    const links = new Map<string, SpanLink>();
    for (const { id } of step.rows) {
      const link = this.stepTrace?.get(id);
      if (link !== undefined) links.set(link.spanId, { traceId: link.traceId, spanId: link.spanId });
    }
    this.options.take([stepSpan(step, times, traceContext(null, this.draw()), [...links.values()])]);
  }

  endSteps(): void {
    this.stepTrace = null;
  }

  /** The call that it became has ended. */
  callEnded(trace: RequestTrace): void {
    trace.running = false;
    this.settle(trace);
  }

  /** The connection is done with it. Idempotent. */
  end(trace: RequestTrace): void {
    if (trace.endNs !== null) return;
    trace.endNs = this.options.nowNs();
    this.settle(trace);
  }

  private settle(trace: RequestTrace): void {
    if (!trace.complete) return;
    this.open--;
    const { rules, metrics, take, device, epochSeconds, model } = this.options;
    const outcome = trace.outcome ?? outcomeOf(trace.http?.statusCode ?? null);
    const { context, records } = trace;
    const ttft = records.reduce((most, record) => Math.max(most, ttftMs(record) || 0), trace.firstTokenNs / 1e6 || 0);
    const preemptions = records.reduce((sum, record) => sum + record.preemptions, 0);
    const failed = outcome === 'server_error';
    const { traceId, parentSampled } = context;
    const reason = keepReason(
      { position: ratioPosition(traceId), failed, ttftMs: ttft, preemptions, parentSampled },
      rules,
    );
    if (reason === null) return;
    metrics.kept(reason);
    const seconds = epochSeconds();
    for (const record of records) this.exemplars.keep(record, traceId, seconds);
    if (!Number.isNaN(trace.firstTokenNs)) this.exemplars.keepGateway(trace.firstTokenNs / 1e9, traceId, seconds);
    const facts: RequestFacts = {
      context,
      startNs: trace.startNs,
      endNs: trace.endNs!,
      requestId: trace.requestId,
      model,
      outcome,
      errorType: outcome === 'success' ? null : (trace.errorType ?? String(trace.http?.statusCode ?? outcome)),
      http: trace.http,
      generation: trace.generation,
    };
    take(requestSpans(facts, records, device));
  }

  private draw(): Uint8Array {
    if (this.drawn === DRAWS) {
      randomFillSync(this.random);
      this.drawn = 0;
    }
    const at = DRAW_BYTES * this.drawn++;
    return this.random.subarray(at, at + DRAW_BYTES);
  }
}

/** Of a request that never became a call: what its status line says. */
function outcomeOf(statusCode: number | null): GatewayOutcome {
  if (statusCode === null) return 'cancelled';
  if (statusCode === 429 || statusCode === 503) return 'rejected';
  return statusCode >= 500 ? 'server_error' : statusCode >= 400 ? 'client_error' : 'success';
}
