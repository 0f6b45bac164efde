import { type FinishReason, mix32 } from '../../core/index.ts';
import type { GatewayOutcome } from '../gateway-metrics.ts';
import { KEEP_REASONS, type KeepReason, type KeepRules, keepReason, ttftMs } from './keep-rules.ts';
import { type RequestFacts, requestSpans } from './request-spans.ts';
import type { SequenceRecord } from './sequence-record.ts';
import type { DeviceNames } from './sequence-spans.ts';
import type { Span } from './span.ts';
import { traceContext } from './trace-context.ts';

export interface SimulatedTracesOptions {
  readonly rules: KeepRules;
  /** Decides the ids: the same run has the same traces. */
  readonly seed: number;
  readonly model: string;
  readonly device: DeviceNames;
  /** Takes the spans of a kept trace. */
  readonly take: (spans: readonly Span[]) => void;
}

/** What a finish reason counts as, from the worst to the best: a request is as its worst sequence. */
const OUTCOMES: readonly (readonly [outcome: GatewayOutcome, reasons: readonly FinishReason[]])[] = [
  ['server_error', ['error', 'timeout']],
  ['rejected', ['rejected']],
  ['cancelled', ['abort']],
  ['success', ['stop', 'length']],
];

/**
 * Traces of a run that has no gateway: a request begins when the engine gets it and ends with the last of its sequences, in virtual
 * time. Rules, names and attributes are those of a server.
 */
export class SimulatedTraces {
  readonly kept: Readonly<Record<KeepReason, number>>;
  /** Traces that have ended, kept or not. */
  ended = 0;
  private readonly counts: Record<KeepReason, number>;
  private readonly options: SimulatedTracesOptions;
  /** Records of requests of which other sequences have not ended. */
  private readonly open = new Map<number, SequenceRecord[]>();
  private readonly bytes = new Uint8Array(24);

  constructor(options: SimulatedTracesOptions) {
    this.options = options;
    this.counts = Object.fromEntries(KEEP_REASONS.map((reason) => [reason, 0])) as Record<KeepReason, number>;
    this.kept = this.counts;
  }

  /** Requests that have not ended, of those with several sequences. */
  get live(): number {
    return this.open.size;
  }

  add(record: SequenceRecord): void {
    if (record.sequences === 1) {
      this.end([record]);
      return;
    }
    const records = this.open.get(record.requestId) ?? [];
    records.push(record);
    if (records.length < record.sequences) {
      this.open.set(record.requestId, records);
      return;
    }
    this.open.delete(record.requestId);
    this.end(records);
  }

  private end(records: readonly SequenceRecord[]): void {
    this.ended++;
    const { rules, model, device, take } = this.options;
    const { requestId } = records[0]!;
    const state = mix32(mix32((this.options.seed | 0) ^ 0x7ace) ^ requestId);
    const outcome = outcomeOf(records);
    const verdict = {
      // Words 2 and 3 end the trace id: its last 52 bits, without the text.
      position: ((word(state, 2) & 0xfffff) * 2 ** 32 + (word(state, 3) >>> 0)) / 2 ** 52,
      failed: outcome === 'server_error',
      ttftMs: records.reduce((most, record) => Math.max(most, ttftMs(record) || 0), 0),
      preemptions: records.reduce((sum, record) => sum + record.preemptions, 0),
      parentSampled: null,
    };
    const reason = keepReason(verdict, rules);
    if (reason === null) return;
    this.counts[reason]++;
    const context = traceContext(null, this.draw(state));
    const facts: RequestFacts = {
      context,
      startNs: Math.min(...records.map((record) => record.receivedNs)),
      endNs: Math.max(...records.map((record) => record.finishedNs)),
      requestId: String(requestId),
      model,
      outcome,
      errorType: outcome === 'success' ? null : worst(records),
      http: null,
      generation: generationOf(records, model),
    };
    take(requestSpans(facts, records, device));
  }

  /** 24 bytes that depend on seed and request alone. */
  private draw(state: number): Uint8Array {
    const view = new DataView(this.bytes.buffer);
    for (let i = 0; i < 6; i++) view.setInt32(4 * i, word(state, i));
    return this.bytes;
  }
}

/** A bijection of the state for each index, as the state is of the request's id: no two requests share a word. */
function word(state: number, index: number): number {
  return mix32(state ^ Math.imul(index + 1, 0x9e3779b1));
}

function outcomeOf(records: readonly SequenceRecord[]): GatewayOutcome {
  const found = OUTCOMES.find(([, reasons]) => records.some((record) => reasons.includes(record.finishReason)));
  return found![0];
}

function worst(records: readonly SequenceRecord[]): FinishReason {
  const order = OUTCOMES.flatMap(([, reasons]) => reasons);
  return order.find((reason) => records.some((record) => record.finishReason === reason))!;
}

function generationOf(records: readonly SequenceRecord[], model: string): RequestFacts['generation'] {
  const [first] = records;
  return {
    operation: 'text_completion',
    requestModel: model,
    responseId: null,
    maxTokens: first!.outputTokensMax,
    requestMaxTokens: first!.outputTokensMax,
    temperature: first!.temperature,
    topP: first!.topP,
    stream: true,
    promptTokens: first!.promptTokens,
    outputTokens: records.reduce((sum, record) => sum + record.outputTokens, 0),
    cachedPromptTokens: records.find((record) => record.index === 0)?.cachedPromptTokens ?? 0,
    finishReasons: records.map((record) => record.finishReason),
    userId: null,
  };
}
