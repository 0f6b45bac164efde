import type { GatewayOutcome } from '../gateway-metrics.ts';
import type { SequenceRecord } from './sequence-record.ts';
import { type DeviceNames, sequenceSpans } from './sequence-spans.ts';
import type { AttributeValue, Span, SpanAttributes } from './span.ts';
import { attributesOf } from './span-attributes.ts';
import { SpanIds, type TraceContext } from './trace-context.ts';

/** What the gateway knows of a request when its answer is out. null = not known, or never came to it. */
export interface RequestFacts {
  readonly context: TraceContext;
  /** Nanoseconds of the spans' clock. */
  readonly startNs: number;
  readonly endNs: number;
  /** The id that the client gave or got. */
  readonly requestId: string;
  /** The model that answers. */
  readonly model: string;
  readonly outcome: GatewayOutcome;
  /** Low-cardinality word for what went wrong. */
  readonly errorType: string | null;
  /** null: there was no HTTP. */
  readonly http: HttpFacts | null;
  /** null: it was refused before it was understood. */
  readonly generation: GenerationFacts | null;
}

export interface HttpFacts {
  readonly method: string;
  /** Pattern, never the path itself. */
  readonly route: string | null;
  /** null when no status line went out. */
  readonly statusCode: number | null;
}

export interface GenerationFacts {
  readonly operation: 'chat' | 'text_completion';
  readonly requestModel: string;
  readonly responseId: string | null;
  /** Output tokens that each choice may have, and what the client asked for. */
  readonly maxTokens: number;
  readonly requestMaxTokens: number | null;
  readonly temperature: number;
  readonly topP: number;
  readonly stream: boolean;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedPromptTokens: number;
  readonly finishReasons: readonly string[];
  /** A hash. */
  readonly userId: string | null;
}

/** Names this server in traces: `gen_ai.provider.name`. */
const PROVIDER = 'twinfer';

/**
 * The spans of a request, parents first: the server span, and below it those of its sequences. About ten for one sequence, whatever
 * its length.
 */
export function requestSpans(facts: RequestFacts, records: readonly SequenceRecord[], device: DeviceNames): Span[] {
  const { context } = facts;
  const server: Span = {
    name: 'gateway.request',
    kind: 'server',
    traceId: context.traceId,
    spanId: context.spanId,
    parentSpanId: context.parentSpanId,
    parentIsRemote: context.parentSpanId !== null,
    startNs: facts.startNs,
    endNs: Math.max(facts.startNs, facts.endNs),
    attributes: serverAttributes(facts),
    failed: facts.outcome === 'server_error',
  };
  const spans = [server];
  const ids = new SpanIds(context.spanId);
  for (const record of records) spans.push(...sequenceSpans(record, server, facts.requestId, ids, device));
  return spans;
}

function serverAttributes(facts: RequestFacts): SpanAttributes {
  const { http, generation } = facts;
  return attributesOf({
    model: facts.model,
    status: facts.outcome,
    'gen_ai.provider.name': PROVIDER,
    'error.type': facts.errorType,
    'http.request.method': http?.method,
    'http.route': http?.route,
    'http.response.status_code': http?.statusCode,
    ...(generation === null ? {} : generationAttributes(generation)),
  });
}

function generationAttributes(facts: GenerationFacts): Record<string, AttributeValue | null> {
  return {
    user_id: facts.userId,
    prompt_tokens: facts.promptTokens,
    max_tokens: facts.maxTokens,
    output_tokens: facts.outputTokens,
    'gen_ai.operation.name': facts.operation,
    'gen_ai.request.model': facts.requestModel,
    'gen_ai.request.max_tokens': facts.requestMaxTokens,
    'gen_ai.request.temperature': facts.temperature,
    'gen_ai.request.top_p': facts.topP,
    'gen_ai.request.stream': facts.stream,
    'gen_ai.usage.input_tokens': facts.promptTokens,
    'gen_ai.usage.output_tokens': facts.outputTokens,
    'gen_ai.usage.cache_read.input_tokens': facts.cachedPromptTokens,
    'gen_ai.response.id': facts.responseId,
    'gen_ai.response.finish_reasons': facts.finishReasons.length === 0 ? null : facts.finishReasons,
  };
}
