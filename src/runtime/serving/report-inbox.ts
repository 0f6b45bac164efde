import type { Guard } from '../../gateway/guard.ts';
import type { SequenceRecord } from '../../observability/spans/index.ts';
import type { FromEngine } from './engine-thread.ts';
import { ReportReader, type ReportReceiver } from './report-wire.ts';

/** What the engine says of its requests, in its order. */
type EngineNews = Extract<FromEngine, { readonly kind: 'report' | 'records' }>;

export interface ReportInboxOptions extends ReportReceiver {
  readonly nowMs: () => number;
  readonly guard: Guard;
  readonly records: (records: readonly SequenceRecord[]) => void;
  /** A report has been read: the engine may send another. */
  readonly acknowledge: () => void;
}

/** Reports are read for this time, ms, before sockets and timers get their turn; one record more may be read. */
const SLICE_MS = 4;

/**
 * Reports on their way from the engine's thread to the answers. Node hands on up to 1,000 messages of a thread before it looks at
 * a socket, and an engine that is faster than the gateway always has another: then no connection would be read for minutes. So
 * reports are read in slices, one for each turn of the event loop. What is left waits here, the engine waits for its
 * acknowledgements, and a report of many streams may be read in several slices.
 */
export class ReportInbox {
  private readonly options: ReportInboxOptions;
  private readonly reader: ReportReader;
  private readonly waiting: EngineNews[] = [];
  /** The first of them has been read in part. */
  private begun = false;
  private armed = false;
  private sliceEndMs = 0;

  constructor(options: ReportInboxOptions) {
    this.options = options;
    this.reader = new ReportReader(options);
  }

  /** Takes what comes next, and reads it at once where this turn of the event loop has time left. */
  take(news: EngineNews): void {
    this.waiting.push(news);
    if (!this.armed) this.beginTurn();
    this.slice();
  }

  /** Reads all that waits now: nothing more will come from this thread. */
  readAll(): void {
    this.sliceEndMs = Number.POSITIVE_INFINITY;
    this.slice();
  }

  /** Forgets what waits. */
  clear(): void {
    this.waiting.length = 0;
    this.begun = false;
  }

  private beginTurn(): void {
    const { guard, nowMs } = this.options;
    this.armed = true;
    this.sliceEndMs = nowMs() + SLICE_MS;
    guard.soon('engine_reports', this.nextTurn);
  }

  private readonly nextTurn = (): void => {
    this.armed = false;
    if (this.waiting.length === 0) return;
    this.beginTurn();
    this.slice();
  };

  private readonly enough = (): boolean => this.options.nowMs() >= this.sliceEndMs;

  private slice(): void {
    const { waiting, reader, options } = this;
    while (waiting.length > 0 && !this.enough()) {
      const news = waiting[0]!;
      if (news.kind === 'records') {
        waiting.shift();
        options.guard.run('engine_reports', () => options.records(news.records));
        continue;
      }
      if (!this.begun) reader.begin(news);
      this.begun = !reader.read(this.enough);
      if (this.begun) return;
      // Cleared meanwhile by what an answer led to.
      if (waiting[0] === news) waiting.shift();
      options.acknowledge();
    }
  }
}
