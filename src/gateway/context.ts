import type { FastifyBaseLogger } from 'fastify';
import type { ActiveAlert } from '../observability/alerts/index.ts';
import type { DashboardFeed } from '../observability/dashboard/dashboard-feed.ts';
import type { DashboardPage } from '../observability/dashboard/dashboard-page.ts';
import type { GatewayMetrics, MetricsPage } from '../observability/index.ts';
import type { ChatTemplateOptions, TemplateMessage, Tokenizer } from '../tokenizer/index.ts';
import type { SourceRules } from './access.ts';
import type { ServedLimits } from './api/index.ts';
import type { KeyEntry, KeyRing } from './auth.ts';
import type { EngineLink } from './engine-link.ts';
import type { Guard } from './guard.ts';
import type { KeyShares } from './limits/key-shares.ts';
import type { KeyLimits } from './limits/rate-limit.ts';
import type { SaltTable } from './limits/salts.ts';
import type { RequestNames } from './request-names.ts';
import type { RequestTrace } from './tracing/request-trace.ts';
import type { RequestTracing } from './tracing/request-tracing.ts';

/** What the gateway is made of; the runtime puts it together. */
export interface GatewayContext {
  readonly link: EngineLink;
  readonly tokenizer: Tokenizer;
  readonly pool: PromptEncoder;
  readonly served: ServedLimits;
  readonly keys: KeyRing;
  readonly keyLimits: KeyLimits;
  readonly shares: KeyShares;
  readonly salts: SaltTable;
  readonly names: RequestNames;
  readonly metricsPage: MetricsPage;
  readonly metrics: GatewayMetrics;
  readonly dashboard: { readonly page: DashboardPage; readonly feed: DashboardFeed };
  /** What the alert rules say of this server now. */
  readonly alerts: { current(): readonly ActiveAlert[] };
  /** null while nobody wants traces. */
  readonly tracing: RequestTracing | null;
  readonly log: FastifyBaseLogger;
  readonly guard: Guard;
  /** Log lines that could not be written (a full disk, a reader that is gone), since the start. */
  readonly logLinesDropped: () => number;
  readonly nowMs: () => number;
  /** An engine that is asked for its state and answers nothing within this time is taken not to answer. */
  readonly engineAnswerMs: number;
  /** Seconds since 1970, for `created`. */
  readonly epochSeconds: () => number;
  readonly settings: GatewaySettings;
  /** Where a simulated model ends by itself when the client named no maximum; Infinity on a real one. */
  readonly impliedOutputTokens: (prompt: Int32Array, seed: number | null) => number;
}

export interface GatewaySettings extends SourceRules {
  readonly version: string;
  readonly backend: string;
  /** Running sequences at most, for predictions of the queue. */
  readonly sequencesMax: number;
  readonly bodyBytesMax: number;
  /** How deep a body may nest. */
  readonly bodyDepthMax: number;
  readonly headersTimeoutMs: number;
  /** Whole body must have arrived; the time of the answer is not counted. */
  readonly requestTimeoutMs: number;
  /** No request takes longer; clients may ask for less by header `x-request-timeout-ms`. null = none. */
  readonly generationTimeoutMs: number | null;
  readonly streamBufferBytesMax: number;
  readonly connectionsMax: number;
  /** null = none. */
  readonly connectionsPerAddressMax: number | null;
  readonly pipelinedMax: number;
  /** Work waits and no step has ended for so long: /health says 503. */
  readonly stallMs: number;
  readonly vllmAliases: boolean;
  /** Each write of a stream is preceded by a comment with the time of the step's end. */
  readonly stepTimes: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null where no key is configured. */
    key: KeyEntry | null;
    /** null where it is not traced. */
    trace: RequestTrace | null;
  }
}

/** Turns prompts into ids, long ones off the gateway's thread. */
export interface PromptEncoder {
  /** Prompts that wait for a thread. */
  readonly queueLength: number;
  /** Throws TokenizerBusyError. */
  encode(text: string, addSpecialTokens: boolean): Promise<Int32Array>;
  /** Throws TokenizerBusyError, and ChatTemplateError when the template refuses the messages. */
  encodeChat(messages: readonly TemplateMessage[], options: ChatTemplateOptions): Promise<Int32Array>;
}
