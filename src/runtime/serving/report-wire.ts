import { FINISH_REASONS, type FinishReason, type LogprobSource, REJECTION_REASONS } from '../../core/index.ts';
import type { EngineSink, FinishDetail, TokenLogprobs } from '../../gateway/engine-link.ts';

/**
 * What one step has to say, from the engine thread to the gateway, as one message: whole numbers in `words`,
 * log-probabilities in `floats` (in the order of their records).
 *
 *     TOKENS   id index count top ids[count] topIds[count * top]      top = -1: no log-probabilities
 *     ADMITTED id index cachedPromptTokens
 *     FINISHED id index reason outputTokens stopTokenId rejection
 *     PROMPT   id count top topIds[count * top]
 */
const TOKENS = 1;
const ADMITTED = 2;
const FINISHED = 3;
const PROMPT = 4;

export interface StepReport {
  readonly words: Int32Array;
  readonly floats: Float64Array | null;
  /** Wall time at which the engine had applied the step, ns. */
  readonly endNs: number;
}

export class ReportWriter {
  private words = new Int32Array(8192);
  private length = 0;
  private floats = new Float64Array(1024);
  private floatLength = 0;
  private readonly logprobs: LogprobSource | null;

  /** null: the backend has none, and none are written. */
  constructor(logprobs: LogprobSource | null) {
    this.logprobs = logprobs;
  }

  get empty(): boolean {
    return this.length === 0;
  }

  /** Tokens output[from .. from + count); `asked`: alternatives of each; null = no log-probabilities. `before`: the token before output[0]. */
  tokens(
    id: number,
    index: number,
    output: Int32Array,
    from: number,
    count: number,
    asked: number | null,
    before: number,
  ): void {
    const top = this.logprobs === null ? null : asked;
    this.reserve(5 + count + count * (top ?? 0));
    const { words } = this;
    words[this.length++] = TOKENS;
    words[this.length++] = id;
    words[this.length++] = index;
    words[this.length++] = count;
    words[this.length++] = top ?? -1;
    for (let i = 0; i < count; i++) words[this.length++] = output[from + i]!;
    if (top === null) return;
    for (let i = 0; i < count; i++)
      this.alternatives(output[from + i]!, from + i > 0 ? output[from + i - 1]! : before, top);
  }

  admitted(id: number, index: number, cachedPromptTokens: number): void {
    this.reserve(4);
    this.words.set([ADMITTED, id, index, cachedPromptTokens], this.length);
    this.length += 4;
  }

  finished(id: number, index: number, reason: FinishReason, detail: FinishDetail): void {
    this.reserve(7);
    const rejection = detail.rejection === null ? -1 : REJECTION_REASONS.indexOf(detail.rejection);
    this.words.set(
      [FINISHED, id, index, FINISH_REASONS.indexOf(reason), detail.outputTokens, detail.stopTokenId, rejection],
      this.length,
    );
    this.length += 7;
  }

  /** Log-probabilities of prompt[1 ..]. */
  prompt(id: number, prompt: Int32Array, top: number): void {
    if (this.logprobs === null) return;
    const count = prompt.length - 1;
    this.reserve(4 + count * top);
    this.words.set([PROMPT, id, count, top], this.length);
    this.length += 4;
    for (let i = 1; i < prompt.length; i++) this.alternatives(prompt[i]!, prompt[i - 1]!, top);
  }

  /** The step's report; the writer is empty then. */
  take(endNs: number): StepReport {
    const words = this.words.slice(0, this.length);
    const floats = this.floatLength === 0 ? null : this.floats.slice(0, this.floatLength);
    this.length = 0;
    this.floatLength = 0;
    return { words, floats, endNs };
  }

  private alternatives(token: number, previous: number, top: number): void {
    if (this.floatLength + top + 1 > this.floats.length) {
      const larger = new Float64Array(2 * (this.floatLength + top + 1));
      larger.set(this.floats);
      this.floats = larger;
    }
    this.logprobs!.fill(token, previous, top, this.floats, this.floatLength, this.words, this.length);
    this.floatLength += top + 1;
    this.length += top;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.words.length) return;
    const larger = new Int32Array(2 * (this.length + count));
    larger.set(this.words);
    this.words = larger;
  }
}

/** What a report is handed to. */
export interface ReportReceiver {
  /** undefined: the request has ended already, and the record is skipped. */
  sinkOf(id: number): EngineSink | undefined;
  /** A sequence has finished; its sink is called next. */
  ended(id: number): void;
  /** The sink of this request threw; the other requests of the report go on. */
  failed(id: number, sink: EngineSink, error: unknown): void;
}

/** Hands reports to the sinks of their requests, as much at a time as the caller wants. */
export class ReportReader {
  private readonly receiver: ReportReceiver;
  private words: Int32Array = NO_WORDS;
  private floats: Float64Array = NO_FLOATS;
  private endNs = 0;
  private at = 0;
  private floatsAt = 0;
  /** Requests whose sinks were called since the last `stepEnd`, by id. */
  private readonly touched = new Map<number, EngineSink>();

  constructor(receiver: ReportReceiver) {
    this.receiver = receiver;
  }

  /** Takes the next report; the last one must have been read to its end. */
  begin({ words, floats, endNs }: StepReport): void {
    this.words = words;
    this.floats = floats ?? NO_FLOATS;
    this.endNs = endNs;
    this.at = 0;
    this.floatsAt = 0;
  }

  /**
   * Hands on records until none is left, or until `enough` says so after one, and then the step's end to the sinks that got any.
   * True: the report has been read.
   */
  read(enough: () => boolean = () => false): boolean {
    const { words, receiver } = this;
    while (this.at < words.length) {
      const id = words[this.at + 1]!;
      const sink = receiver.sinkOf(id);
      if (sink !== undefined) this.touched.set(id, sink);
      try {
        this.record(id, sink);
      } catch (error) {
        this.fail(id, sink!, error);
      }
      if (enough()) break;
    }
    for (const [id, sink] of this.touched) {
      try {
        sink.stepEnd(this.endNs);
      } catch (error) {
        this.fail(id, sink, error);
      }
    }
    this.touched.clear();
    return this.at >= words.length;
  }

  /** Moves on before it calls the sink, which may throw. */
  private record(id: number, sink: EngineSink | undefined): void {
    const { words, floats, at, floatsAt } = this;
    const code = words[at]!;
    if (code === TOKENS) {
      const count = words[at + 3]!;
      const top = words[at + 4]!;
      const ids = at + 5;
      this.advance(5 + count, count, top);
      if (sink === undefined) return;
      const logprobs = top < 0 ? null : unpack(words, ids + count, floats, floatsAt, count, top);
      sink.tokens(words[at + 2]!, words, ids, count, logprobs);
    } else if (code === ADMITTED) {
      this.at += 4;
      sink?.admitted(words[at + 2]!, words[at + 3]!);
    } else if (code === FINISHED) {
      this.at += 7;
      this.receiver.ended(id);
      const rejection = words[at + 6]! < 0 ? null : REJECTION_REASONS[words[at + 6]!]!;
      const detail = { outputTokens: words[at + 4]!, stopTokenId: words[at + 5]!, rejection };
      sink?.finished(words[at + 2]!, FINISH_REASONS[words[at + 3]!]!, detail);
    } else {
      const count = words[at + 2]!;
      const top = words[at + 3]!;
      this.advance(4, count, top);
      sink?.promptLogprobs(unpack(words, at + 4, floats, floatsAt, count, top));
    }
  }

  /** Behind a record of `length` words and the log-probabilities of `count` tokens. */
  private advance(length: number, count: number, top: number): void {
    this.at += length;
    if (top < 0) return;
    this.at += count * top;
    this.floatsAt += count * (top + 1);
  }

  private fail(id: number, sink: EngineSink, error: unknown): void {
    this.touched.delete(id);
    this.receiver.failed(id, sink, error);
  }
}

const NO_WORDS = new Int32Array(0);
const NO_FLOATS = new Float64Array(0);

function unpack(
  words: Int32Array,
  at: number,
  floats: Float64Array,
  floatsAt: number,
  count: number,
  top: number,
): TokenLogprobs {
  const chosen = new Float64Array(count);
  const topLogprobs = new Float64Array(count * top);
  for (let i = 0; i < count; i++) {
    const from = floatsAt + i * (top + 1);
    chosen[i] = floats[from]!;
    for (let j = 0; j < top; j++) topLogprobs[i * top + j] = floats[from + 1 + j]!;
  }
  return { top, chosen, topIds: words.slice(at, at + count * top), topLogprobs };
}
