import type { FinishReason } from '../core/index.ts';
import { type CallbackSource, type ConnectionClosure, REFUSAL_REASONS } from './catalogue-gateway.ts';
import type { MetricsPage } from './metrics-page.ts';
import type { PageHistogram } from './page-histogram.ts';

export type GatewayOutcome = 'success' | 'client_error' | 'rejected' | 'cancelled' | 'server_error';
export type CallKind = 'chat' | 'completion' | 'generate';

/** How a call ended once the engine had it: the gateway's words, and the outcomes that they count as. A timeout is a 504, so ours. */
const OUTCOME_OF_END = {
  completed: 'success',
  aborted: 'cancelled',
  rejected: 'rejected',
  timeout: 'server_error',
  error: 'server_error',
} as const satisfies Record<string, GatewayOutcome>;
export type CallEnd = keyof typeof OUTCOME_OF_END;

/** How a call ends whose sequence ended so. */
const END_OF_FINISH = {
  stop: 'completed',
  length: 'completed',
  abort: 'aborted',
  rejected: 'rejected',
  timeout: 'timeout',
  error: 'error',
} as const satisfies Record<FinishReason, CallEnd>;

export function callEndOf(reason: FinishReason): CallEnd {
  return END_OF_FINISH[reason];
}

/** Refusals that say "not now"; the other ones say that the request is wrong, or that we are. */
const BUSY = new Set([
  'queue_full',
  'rate_limit_exceeded',
  'concurrency_limit',
  'tokenizer_busy',
  'draining',
  'engine_down',
  'overloaded',
]);
const KNOWN_REASONS: ReadonlySet<string> = new Set(REFUSAL_REASONS);

/** What the gateway reads of itself now and then. Times by its own clock. */
export interface GatewayReading {
  readonly nowMs: number;
  /** Prompts that wait for a tokenizer thread. */
  readonly tokenizerQueue: number;
  /** Times that the engine was started again, since the gateway began. */
  readonly engineRestarts: number;
  /** Requests are with the engine and no step has ended for so long. */
  readonly stalledMs: number;
  /** Busy share of the event loop since the last reading, 0 .. 1, and its busy time since the beginning. */
  readonly eventLoopUtilization: number;
  readonly eventLoopActiveMs: number;
  readonly process: ProcessReading;
}

/** What the process uses; counts and times since its start. */
export interface ProcessReading {
  readonly startedSeconds: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** null where the system does not tell. */
  readonly openFds: number | null;
  readonly gcSeconds: number;
  readonly collections: Readonly<Record<'minor' | 'major' | 'incremental' | 'weakcb', number>>;
}

/** The gateway's series. All calls come from the gateway's thread. */
export class GatewayMetrics {
  private readonly page: MetricsPage;
  private readonly cells: Float64Array;
  private readonly receivedCell: number;
  private readonly outcomeCells: Readonly<Record<GatewayOutcome, number>>;
  private readonly reasonCells: ReadonlyMap<string, number>;
  private readonly tokensCell: number;
  private readonly streamsCell: number;
  private readonly connectionsCell: number;
  private readonly callCells: Readonly<Record<CallKind, number>>;
  private readonly durations: PageHistogram;
  private readonly firstTokens: PageHistogram;
  private readonly loopDelays: PageHistogram;
  private iterationsSeen = -1;
  private iterationSeenMs = 0;

  constructor(page: MetricsPage) {
    this.page = page;
    this.cells = page.cells;
    this.receivedCell = page.cell('gateway_requests_received_total');
    const outcome = (name: GatewayOutcome) => page.cell('gateway_requests_total', name);
    this.outcomeCells = {
      success: outcome('success'),
      client_error: outcome('client_error'),
      rejected: outcome('rejected'),
      cancelled: outcome('cancelled'),
      server_error: outcome('server_error'),
    };
    this.reasonCells = new Map(
      REFUSAL_REASONS.map((name) => [name, page.cell('gateway_requests_refused_total', name)]),
    );
    this.tokensCell = page.cell('gateway_tokens_total');
    this.streamsCell = page.cell('gateway_active_streams');
    this.connectionsCell = page.cell('gateway_open_connections');
    const calls = (kind: CallKind) => page.cell('gateway_calls_total', kind);
    this.callCells = { chat: calls('chat'), completion: calls('completion'), generate: calls('generate') };
    this.durations = page.histogram('gateway_request_duration_seconds');
    this.firstTokens = page.histogram('gateway_time_to_first_token_seconds');
    this.loopDelays = page.histogram('event_loop_delay_seconds');
  }

  /** A generation request has come; `ended` or `refused` is called once for it. */
  received(): void {
    this.cells[this.receivedCell]!++;
  }

  /** It ended after it had been handed to the engine, `seconds` after it came. Returns what it counts as. */
  ended(end: CallEnd, kind: CallKind, seconds: number): GatewayOutcome {
    const outcome = OUTCOME_OF_END[end];
    this.cells[this.outcomeCells[outcome]]!++;
    this.cells[this.callCells[kind]]!++;
    this.durations.observe(seconds);
    return outcome;
  }

  /** It was answered with an error before that; `code` as in the error's body, unknown ones count as `other`. */
  refused(code: string): GatewayOutcome {
    const outcome = BUSY.has(code) ? 'rejected' : isOurFault(code) ? 'server_error' : 'client_error';
    this.cells[this.outcomeCells[outcome]]!++;
    this.cells[this.reasonCells.get(reasonOf(code))!]!++;
    return outcome;
  }

  firstToken(seconds: number): void {
    this.firstTokens.observe(seconds);
  }

  tokens(count: number): void {
    this.cells[this.tokensCell]! += count;
  }

  streamOpened(): void {
    this.cells[this.streamsCell]!++;
  }

  streamClosed(): void {
    this.cells[this.streamsCell]!--;
  }

  connectionsOpen(count: number): void {
    this.cells[this.connectionsCell] = count;
  }

  connectionClosed(reason: ConnectionClosure): void {
    this.cells[this.page.cell('gateway_connections_closed_total', reason)]!++;
  }

  /** A timer or another callback that no request waits for has thrown. */
  callbackFailed(source: CallbackSource): void {
    this.cells[this.page.cell('gateway_callback_failures_total', source)]!++;
  }

  /** A timer of the event loop ran so much later than asked for, `count` times. */
  eventLoopDelay(seconds: number, count = 1): void {
    this.loopDelays.observe(Math.max(0, seconds), count);
  }

  /** To be called about once a second; makes the engine's heartbeat as well, by the gateway's clock alone. */
  sample(reading: GatewayReading): void {
    const { cells, page } = this;
    cells[page.cell('tokenizer_queue_size')] = reading.tokenizerQueue;
    const restarts = page.cell('engine_restarts_total');
    cells[restarts] = Math.max(cells[restarts]!, reading.engineRestarts);
    cells[page.cell('engine_stalled_seconds')] = reading.stalledMs / 1000;
    cells[page.cell('event_loop_utilization_ratio')] = reading.eventLoopUtilization;
    const active = page.cell('event_loop_active_seconds_total');
    cells[active] = Math.max(cells[active]!, reading.eventLoopActiveMs / 1000);
    this.sampleProcess(reading.process);
    const iterations = cells[page.hidden('iterations')]!;
    if (iterations !== this.iterationsSeen) {
      if (this.iterationsSeen >= 0 || iterations > 0) this.iterationSeenMs = reading.nowMs;
      this.iterationsSeen = iterations;
    }
    if (iterations === 0) return;
    cells[page.hidden('sinceIterationSeconds')] = (reading.nowMs - this.iterationSeenMs) / 1000;
  }

  private sampleProcess(reading: ProcessReading): void {
    const { cells, page } = this;
    cells[page.cell('process_start_time_seconds')] = reading.startedSeconds;
    cells[page.cell('process_cpu_seconds_total')] = reading.cpuSeconds;
    cells[page.cell('process_resident_memory_bytes')] = reading.residentBytes;
    cells[page.cell('process_open_fds')] = reading.openFds ?? Number.NaN;
    cells[page.cell('gateway_heap_used_bytes')] = reading.heapUsedBytes;
    cells[page.cell('gateway_gc_seconds_total')] = reading.gcSeconds;
    const { collections } = reading;
    for (const kind of ['minor', 'major', 'incremental', 'weakcb'] as const)
      cells[page.cell('gateway_gc_runs_total', kind)] = collections[kind];
  }
}

function isOurFault(code: string): boolean {
  return code === 'internal_error' || code === 'device_lost' || /^5\d\d$/.test(code);
}

function reasonOf(code: string): string {
  if (KNOWN_REASONS.has(code)) return code;
  if (isOurFault(code)) return 'internal_error';
  return code.startsWith('invalid_') || code === '400' ? 'invalid_request' : 'other';
}
