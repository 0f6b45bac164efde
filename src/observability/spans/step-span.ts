import type { StepRecord } from '../timeline/index.ts';
import type { Span, SpanLink } from './span.ts';

/** Links of a span at most: OpenTelemetry's own limit. */
const LINKS_MAX = 128;

export interface StepSpanTimes {
  /** Of the span clock, ns. */
  readonly startNs: number;
  readonly endNs: number;
}

/**
 * A step of the engine as a root span of its own, with links to the requests in it: a span has one parent, a step serves many.
 * `traceId`, `spanId`: 32 and 16 hexadecimal digits. Only for step traces: per request there are the seven spans.
 */
export function stepSpan(
  step: StepRecord,
  { startNs, endNs }: StepSpanTimes,
  { traceId, spanId }: SpanLink,
  links: readonly SpanLink[],
): Span {
  return {
    name: 'engine.step',
    kind: 'internal',
    traceId,
    spanId,
    parentSpanId: null,
    parentIsRemote: false,
    startNs,
    endNs,
    attributes: {
      'engine.step': step.step,
      'engine.steps': step.stepsRun,
      batch_size: step.decodeRows + step.prefillRows,
      sequence_lengths: step.rows.map((row) => row.context + row.tokens),
      'engine.prefill_tokens': step.prefillTokens,
      'engine.decode_tokens': step.decodeTokens,
      'engine.waiting': step.waiting,
      'engine.swapped': step.swapped,
      ...(step.waitReason === null ? {} : { 'engine.head_waits_for': step.waitReason }),
      'kv_cache.blocks_used': step.blocksUsed,
    },
    failed: step.status !== 'ok',
    links: links.slice(0, LINKS_MAX),
    linksDropped: Math.max(0, links.length - LINKS_MAX),
  };
}
