import type { Sequence } from '../../core/index.ts';
import type { AdmissionRecord, ForwardRecord, SequenceRecord, WaitRecord } from './sequence-record.ts';
import type { StepMark, StepSums } from './step-sums.ts';

/** Entries kept of one sequence: what is beyond joins the last ones. */
const FORWARDS_MAX = 24;
const WAITS_MAX = 12;
const TOKEN_IDS_MAX = 128;

type Growing<T> = { -readonly [K in keyof T]: T[K] };

/** What has happened to a live sequence so far. Changed when it moves from one state to another, not when it gets a token. */
export class SequenceTrail {
  readonly sequence: Sequence;
  stage: 'waiting' | 'prefill' | 'decode' = 'waiting';
  /** Slot while it runs. */
  slot = -1;
  admission: Growing<AdmissionRecord> | null = null;
  private readonly wallFromNs: number;
  private readonly waits: WaitRecord[] = [];
  private readonly forwards: Growing<ForwardRecord>[] = [];
  private queuePosition: number;
  private decodeFromNs = 0;
  private decodeFrom: StepMark | null = null;
  /** Output tokens that its forwards so far have given. */
  private tokens = 0;

  constructor(sequence: Sequence, queuePosition: number, wallFromNs: number) {
    this.sequence = sequence;
    this.queuePosition = queuePosition;
    this.wallFromNs = wallFromNs;
  }

  admitted(admission: Growing<AdmissionRecord>, nowNs: number): void {
    this.takeLateTokens();
    this.stage = 'prefill';
    this.slot = this.sequence.slot;
    this.admission = admission;
    this.waited(admission, nowNs);
  }

  /** It gave its place up; `lastEndNs`: end of the last step. */
  requeued(queuePosition: number, sums: StepSums, lastEndNs: number): void {
    this.endDecode(sums, lastEndNs);
    this.stage = 'waiting';
    this.slot = -1;
    this.queuePosition = queuePosition;
  }

  /** A step computed a part of what it has to catch up with; `last`: it got tokens from it. */
  chunk(sums: StepSums, before: StepMark, startNs: number, endNs: number, last: boolean): void {
    const { outputTokens } = this.sequence;
    const sampledTokens = last ? outputTokens - this.tokens : 0;
    if (last) this.tokens = outputTokens;
    this.add(sums.since(before, 'prefill', startNs, endNs, sampledTokens));
  }

  /** From here on it decodes. */
  beginDecode(from: StepMark, fromNs: number): void {
    this.stage = 'decode';
    this.decodeFrom = from;
    this.decodeFromNs = fromNs;
  }

  /** `tokenIds`: whether to take the ids of its output along. */
  end(sums: StepSums, lastEndNs: number, nowNs: number, wallToNs: number, tokenIds: boolean): SequenceRecord {
    const { sequence } = this;
    if (this.stage === 'waiting') {
      this.takeLateTokens();
      if (sequence.finishReason !== 'rejected') this.waited(null, nowNs);
    } else {
      this.endDecode(sums, lastEndNs);
    }
    const { request, output } = sequence;
    return {
      requestId: request.id,
      index: sequence.index,
      sequences: request.sampling.n,
      finishReason: sequence.finishReason!,
      receivedNs: request.arrivalNs,
      firstTokenNs: sequence.firstTokenNs,
      lastTokenNs: sequence.lastTokenNs,
      finishedNs: nowNs,
      wallFromNs: this.wallFromNs,
      wallToNs,
      promptTokens: sequence.promptTokens,
      outputTokens: sequence.outputTokens,
      outputTokensMax: sequence.outputTokensMax,
      cachedPromptTokens: sequence.cachedPromptTokens,
      preemptions: sequence.preemptions,
      temperature: request.sampling.temperature,
      topP: request.sampling.topP,
      tokenIds:
        tokenIds && output !== null
          ? Array.from(output.subarray(0, Math.min(sequence.outputTokens, TOKEN_IDS_MAX)))
          : null,
      waits: this.waits,
      forwards: this.forwards,
    };
  }

  private waited(admission: AdmissionRecord | null, nowNs: number): void {
    const { sequence, queuePosition } = this;
    if (this.waits.length === WAITS_MAX) this.waits.pop();
    this.waits.push({
      startNs: sequence.waitingSinceNs,
      endNs: nowNs,
      queuePosition,
      preemptions: sequence.preemptions,
      admission,
    });
  }

  /** Tokens of a step that was in flight when it gave its place up: of the forward before. */
  private takeLateTokens(): void {
    const { outputTokens, lastTokenNs } = this.sequence;
    const last = this.forwards.at(-1);
    if (last === undefined || outputTokens <= this.tokens) return;
    last.sampledTokens += outputTokens - this.tokens;
    last.endNs = Math.max(last.endNs, lastTokenNs);
    this.tokens = outputTokens;
  }

  private endDecode(sums: StepSums, lastEndNs: number): void {
    const { decodeFrom } = this;
    this.decodeFrom = null;
    if (decodeFrom === null || !sums.moved(decodeFrom)) return;
    const { outputTokens } = this.sequence;
    const sampledTokens = Math.max(0, outputTokens - this.tokens);
    this.tokens = outputTokens;
    this.add(sums.since(decodeFrom, 'decode', this.decodeFromNs, lastEndNs, sampledTokens));
  }

  private add(forward: ForwardRecord): void {
    const same =
      this.forwards.length < FORWARDS_MAX ? undefined : this.forwards.findLast((each) => each.phase === forward.phase);
    if (same === undefined) {
      this.forwards.push(forward);
      return;
    }
    same.endNs = forward.endNs;
    same.deviceNs += forward.deviceNs;
    same.iterations += forward.iterations;
    same.batchMin = Math.min(same.batchMin, forward.batchMin);
    same.batchMax = Math.max(same.batchMax, forward.batchMax);
    same.batchSum += forward.batchSum;
    same.lengthsSum += forward.lengthsSum;
    same.lengthsMax = Math.max(same.lengthsMax, forward.lengthsMax);
    same.sampledTokens += forward.sampledTokens;
  }
}
