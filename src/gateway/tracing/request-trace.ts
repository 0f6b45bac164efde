import type { GatewayOutcome } from '../../observability/index.ts';
import type { GenerationFacts, HttpFacts, SequenceRecord, TraceContext } from '../../observability/spans/index.ts';

/**
 * One HTTP request on its way: facts are added as they become known. Complete when its connection is done with it, its call (if it
 * became one) has ended, and the engine has said of each of its sequences what there is to say.
 */
export class RequestTrace {
  readonly context: TraceContext;
  readonly startNs: number;
  readonly requestId: string;
  /** Request to the client's first token, ns; NaN before. */
  firstTokenNs = Number.NaN;
  errorType: string | null = null;
  outcome: GatewayOutcome | null = null;
  http: HttpFacts | null = null;
  generation: GenerationFacts | null = null;
  endNs: number | null = null;
  /** A call is with the engine. */
  running = false;
  readonly records: SequenceRecord[] = [];
  /** Requests of the engine, and records that each still owes. */
  readonly owed = new Map<number, number>();

  constructor(context: TraceContext, requestId: string, startNs: number) {
    this.context = context;
    this.requestId = requestId;
    this.startNs = startNs;
  }

  get complete(): boolean {
    return this.endNs !== null && !this.running && this.owed.size === 0;
  }
}
