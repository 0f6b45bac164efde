import type { Guard } from '../../gateway/guard.ts';
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
  readonly guard: Guard;
  /** A batch was not taken. */
  readonly onFailure: (error: string, spans: number) => void;
}

/** A batch has at least so many spans, if there are as many, and ends with a trace. */
const BATCH_SPANS = 512;
/** A batch that is not full waits so long for more. */
const BATCH_MS = 1000;
const EXPORTS_MAX = 2;

/**
 * Kept spans on their way to the collector, in batches. What it has no room for is counted, never lost silently; a trace is taken
 * whole and sent whole, or not at all, so that no span is without its parent.
 */
export class SpanQueue {
  private readonly options: SpanQueueOptions;
  private traces: (readonly Span[])[] = [];
  /** Spans of them. */
  private waiting = 0;
  private sending = 0;
  private exports = 0;
  private timer: NodeJS.Timeout | null = null;
  private closing: (() => void) | null = null;
  /** What was not away by then is counted: late answers change nothing. */
  private closed = false;

  constructor(options: SpanQueueOptions) {
    this.options = options;
  }

  /** The spans of one trace. */
  take(spans: readonly Span[]): void {
    const { spansMax, metrics } = this.options;
    if (this.waiting + this.sending + spans.length > spansMax) {
      metrics.dropped('queue_full', spans.length);
      return;
    }
    this.traces.push(spans);
    this.waiting += spans.length;
    if (this.waiting >= BATCH_SPANS) this.send();
    else this.arm();
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
      timeout = this.options.guard.after('span_export', timeoutMs, resolve);
    });
    await Promise.race([sent, patience]);
    clearTimeout(timeout);
    this.closed = true;
    const lost = this.waiting + this.sending;
    if (lost > 0) this.options.metrics.dropped('export_failed', lost);
    this.traces = [];
    this.waiting = 0;
    await Promise.race([
      this.options.exporter.close(),
      new Promise<void>((resolve) => {
        this.options.guard.after('span_export', timeoutMs, resolve).unref();
      }),
    ]);
  }

  private arm(): void {
    this.timer ??= this.options.guard.after('span_export', BATCH_MS, () => this.due()).unref();
  }

  private due(): void {
    this.timer = null;
    this.send();
  }

  private send(): void {
    const { exporter, metrics, onFailure } = this.options;
    while (this.waiting > 0 && this.exports < EXPORTS_MAX) {
      const batch = this.takeBatch();
      this.exports++;
      this.sending += batch.length;
      exporter.export(batch, (error) => {
        if (this.closed) return;
        this.exports--;
        this.sending -= batch.length;
        if (error === null) metrics.exported(batch.length);
        else {
          metrics.dropped('export_failed', batch.length);
          onFailure(error, batch.length);
        }
        if (this.waiting >= BATCH_SPANS || this.closing !== null) this.send();
        else if (this.waiting > 0) this.arm();
        this.settle();
      });
    }
  }

  private takeBatch(): Span[] {
    let traces = 0;
    let spans = 0;
    while (traces < this.traces.length && spans < BATCH_SPANS) spans += this.traces[traces++]!.length;
    this.waiting -= spans;
    return this.traces.splice(0, traces).flat();
  }

  private settle(): void {
    if (this.waiting + this.sending === 0) this.closing?.();
  }
}
