import type { Span, TraceMetrics } from '../../observability/spans/index.ts';

/** Sends spans away; `done` is called once, with what went wrong or null. */
export interface SpanExporter {
  export(spans: readonly Span[], done: (error: string | null) => void): void;
  close(): Promise<void>;
}

export interface SpanQueueOptions {
  readonly exporter: SpanExporter;
  /** Spans waiting and on their way, at most. */
  readonly spansMax: number;
  readonly metrics: TraceMetrics;
  /** A batch was not taken. */
  readonly onFailure: (error: string, spans: number) => void;
}

const BATCH_SPANS = 512;
/** A batch that is not full waits so long for more. */
const BATCH_MS = 1000;
const EXPORTS_MAX = 2;

/**
 * Kept spans on their way to the collector, in batches. What it has no room for is counted, never lost silently; a trace is taken
 * whole or not at all, so that no span is without its parent.
 */
export class SpanQueue {
  private readonly options: SpanQueueOptions;
  private waiting: Span[] = [];
  private sending = 0;
  private exports = 0;
  private timer: NodeJS.Timeout | null = null;
  private closing: (() => void) | null = null;

  constructor(options: SpanQueueOptions) {
    this.options = options;
  }

  /** The spans of one trace. */
  take(spans: readonly Span[]): void {
    const { spansMax, metrics } = this.options;
    if (this.waiting.length + this.sending + spans.length > spansMax) {
      metrics.dropped('queue_full', spans.length);
      return;
    }
    for (const span of spans) this.waiting.push(span);
    if (this.waiting.length >= BATCH_SPANS) this.send();
    else this.timer ??= setTimeout(() => this.due(), BATCH_MS).unref();
  }

  /** Sends what is left, for `timeoutMs` at most; what is not away by then counts as lost. */
  async close(timeoutMs: number): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const sent = new Promise<void>((resolve) => {
      this.closing = resolve;
    });
    this.send();
    this.settle();
    let timeout: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timeout = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([sent, patience]);
    clearTimeout(timeout);
    const lost = this.waiting.length + this.sending;
    if (lost > 0) this.options.metrics.dropped('export_failed', lost);
    this.waiting = [];
    await Promise.race([
      this.options.exporter.close(),
      new Promise((resolve) => setTimeout(resolve, timeoutMs).unref()),
    ]);
  }

  private due(): void {
    this.timer = null;
    this.send();
  }

  private send(): void {
    const { exporter, metrics, onFailure } = this.options;
    while (this.waiting.length > 0 && this.exports < EXPORTS_MAX) {
      const batch = this.waiting.splice(0, BATCH_SPANS);
      this.exports++;
      this.sending += batch.length;
      exporter.export(batch, (error) => {
        this.exports--;
        this.sending -= batch.length;
        if (error === null) metrics.exported(batch.length);
        else {
          metrics.dropped('export_failed', batch.length);
          onFailure(error, batch.length);
        }
        if (this.waiting.length >= BATCH_SPANS || this.closing !== null) this.send();
        else if (this.waiting.length > 0) this.timer ??= setTimeout(() => this.due(), BATCH_MS).unref();
        this.settle();
      });
    }
  }

  private settle(): void {
    if (this.waiting.length + this.sending === 0) this.closing?.();
  }
}
