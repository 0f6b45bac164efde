import { type FinishReason, NONE } from '../../core/index.ts';
import type { ForwardRecord, SequenceRecord, WaitRecord } from './sequence-record.ts';
import type { Span, SpanAttributes, SpanName } from './span.ts';
import { attributesOf } from './span-attributes.ts';
import type { SpanIds } from './trace-context.ts';

/** What a backend calls its work. */
export interface DeviceNames {
  /** Dominant kernel, or the graph, of a step with prefill and of one without. */
  readonly prefillKernel: string;
  readonly decodeKernel: string;
  /** `0`, or all GPUs that run each step together: `0,1`. */
  readonly gpuId: string;
}

const STATUS: Readonly<Record<FinishReason, string>> = {
  stop: 'success',
  length: 'success',
  abort: 'cancelled',
  rejected: 'rejected',
  timeout: 'timeout',
  error: 'error',
};

/** The spans of one sequence, below `parent`. */
export function sequenceSpans(
  record: SequenceRecord,
  parent: Span,
  requestId: string,
  ids: SpanIds,
  device: DeviceNames,
): Span[] {
  const maker = new SpanMaker(record, parent.traceId, ids);
  const id = record.sequences === 1 ? requestId : `${requestId}-${record.index}`;
  const attributes = processAttributes(record, id);
  const top = maker.add('engine.process', parent, record.receivedNs, record.finishedNs, attributes);
  for (const wait of record.waits) addWait(maker, top, wait, record.finishedNs);
  let tokens = 0;
  for (const forward of record.forwards) {
    addForward(maker, top, forward, device, tokens);
    tokens += forward.sampledTokens;
  }
  return maker.spans;
}

/** Makes spans of one sequence, with its ids and on its clock. */
class SpanMaker {
  readonly spans: Span[] = [];
  readonly record: SequenceRecord;
  private readonly traceId: string;
  private readonly ids: SpanIds;
  private readonly at: (ns: number) => number;

  constructor(record: SequenceRecord, traceId: string, ids: SpanIds) {
    this.record = record;
    this.traceId = traceId;
    this.ids = ids;
    this.at = clockOf(record);
  }

  /** Times of the engine. */
  add(name: SpanName, parent: Span, startNs: number, endNs: number, attributes: SpanAttributes): Span {
    const { finishReason } = this.record;
    const span: Span = {
      name,
      kind: 'internal',
      traceId: this.traceId,
      spanId: this.ids.next(),
      parentSpanId: parent.spanId,
      parentIsRemote: false,
      startNs: this.at(startNs),
      endNs: this.at(Math.max(startNs, endNs)),
      attributes,
      failed: name === 'engine.process' && (finishReason === 'error' || finishReason === 'timeout'),
    };
    this.spans.push(span);
    return span;
  }
}

function addWait(maker: SpanMaker, top: Span, wait: WaitRecord, finishedNs: number): void {
  const { startNs, endNs, admission } = wait;
  // The wait includes what its admission took, so that the allocation lies within it.
  const allocatedNs = Math.min(endNs + (admission?.allocationNs ?? 0), finishedNs);
  const enqueue = maker.add('scheduler.enqueue', top, startNs, allocatedNs, waitAttributes(wait));
  if (admission === null) return;
  const { blocksAllocated, blocksAvailable, cachedBlocks } = admission;
  maker.add('memory.allocate', enqueue, endNs, allocatedNs, {
    blocks_allocated: blocksAllocated,
    blocks_available: blocksAvailable,
    cached_blocks: cachedBlocks,
  });
}

/** `tokensBefore`: output tokens of the forwards before it. */
function addForward(
  maker: SpanMaker,
  top: Span,
  forward: ForwardRecord,
  device: DeviceNames,
  tokensBefore: number,
): void {
  const { record } = maker;
  const { startNs, endNs, phase, sampledTokens } = forward;
  const executor = maker.add('executor.forward', top, startNs, endNs, forwardAttributes(forward));
  // A step begins with the host's work; of many steps the device's time is a sum.
  const computeNs = Math.max(startNs, endNs - forward.deviceNs);
  maker.add('gpu.compute', executor, computeNs, endNs, {
    kernel_name: phase === 'prefill' ? device.prefillKernel : device.decodeKernel,
    gpu_id: device.gpuId,
  });
  if (sampledTokens === 0) return;
  const { temperature, topP } = record;
  const tokenIds = record.tokenIds?.slice(tokensBefore, tokensBefore + sampledTokens);
  // Sampling is a part of the step that nobody times alone: a moment at its end.
  maker.add('sampler.sample', executor, endNs, endNs, attributesOf({ temperature, top_p: topP, token_id: tokenIds }));
}

/**
 * The engine's time on the spans' clock: the same in virtual time. Live the engine's clock may run faster or slower than the wall's
 * (a scaled device), so what lies between coming and ending is spread over the wall time between them.
 */
function clockOf(record: SequenceRecord): (ns: number) => number {
  const { wallFromNs, wallToNs, receivedNs, finishedNs } = record;
  if (wallFromNs === 0 && wallToNs === 0) return (ns) => ns;
  const scale = finishedNs > receivedNs ? (wallToNs - wallFromNs) / (finishedNs - receivedNs) : 0;
  return (ns) => Math.round(wallFromNs + (ns - receivedNs) * scale);
}

function processAttributes(record: SequenceRecord, requestId: string): SpanAttributes {
  const { receivedNs, firstTokenNs, lastTokenNs, finishedNs, waits } = record;
  const admittedNs = waits[0]?.admission == null ? NONE : waits[0].endNs;
  const first = firstTokenNs !== NONE;
  return attributesOf({
    request_id: requestId,
    status: STATUS[record.finishReason],
    ttft_ms: first ? (firstTokenNs - receivedNs) / 1e6 : null,
    total_tokens: record.promptTokens + record.outputTokens,
    'gen_ai.request.id': requestId,
    'gen_ai.latency.time_to_first_token': first ? (firstTokenNs - receivedNs) / 1e9 : null,
    'gen_ai.latency.e2e': (finishedNs - receivedNs) / 1e9,
    'gen_ai.latency.time_in_queue': admittedNs === NONE ? null : (admittedNs - receivedNs) / 1e9,
    'gen_ai.latency.time_in_model_prefill': first && admittedNs !== NONE ? (firstTokenNs - admittedNs) / 1e9 : null,
    'gen_ai.latency.time_in_model_decode': first ? (lastTokenNs - firstTokenNs) / 1e9 : null,
    'gen_ai.latency.time_in_model_inference': first && admittedNs !== NONE ? (lastTokenNs - admittedNs) / 1e9 : null,
  });
}

function waitAttributes(wait: WaitRecord): SpanAttributes {
  return {
    queue_position: wait.queuePosition,
    preemptions: wait.preemptions,
    'gen_ai.latency.time_in_queue': (wait.endNs - wait.startNs) / 1e9,
  };
}

function forwardAttributes(forward: ForwardRecord): SpanAttributes {
  const mean = forward.batchSum / forward.iterations;
  return {
    phase: forward.phase,
    iterations: forward.iterations,
    batch_size: mean,
    batch_size_min: forward.batchMin,
    batch_size_mean: mean,
    batch_size_max: forward.batchMax,
    sequence_lengths_count: forward.batchSum,
    sequence_lengths_sum: forward.lengthsSum,
    sequence_lengths_max: forward.lengthsMax,
  };
}
