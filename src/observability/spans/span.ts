/** The seven spans of a request, and a step of the engine while a step trace is recorded. */
export type SpanName =
  | 'gateway.request'
  | 'engine.process'
  | 'scheduler.enqueue'
  | 'memory.allocate'
  | 'executor.forward'
  | 'gpu.compute'
  | 'sampler.sample'
  | 'engine.step';

export type AttributeValue = string | number | boolean | readonly string[] | readonly number[];
export type SpanAttributes = Readonly<Record<string, AttributeValue>>;

/** A finished span as plain values. */
export interface Span {
  readonly name: SpanName;
  /** `server`: the request's root on this side; the others are internal. */
  readonly kind: 'server' | 'internal';
  /** 32 and 16 lower-case hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  /** The parent is a span of the caller's. */
  readonly parentIsRemote: boolean;
  /** Nanoseconds of the clock of whoever made it: since the process or the run began. */
  readonly startNs: number;
  readonly endNs: number;
  readonly attributes: SpanAttributes;
  readonly failed: boolean;
  /** Other spans that it has to do with, and how many had no room. */
  readonly links?: readonly SpanLink[];
  readonly linksDropped?: number;
}

export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
}

/** Instrumentation scope, and the conventions that the attributes follow; pinned, since all of `gen_ai.*` may still change. */
export const SPAN_SCOPE = 'twinfer';
export const SPAN_SCHEMA_URL = 'https://opentelemetry.io/schemas/gen-ai/1.42.0';
