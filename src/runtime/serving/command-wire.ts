import type { SamplingParameters } from '../../core/index.ts';
import type { EngineRequest } from '../../gateway/engine-link.ts';

/**
 * Commands from the gateway to the engine thread, as one array of numbers per message:
 *
 *     SUBMIT id outputTokensMax priority cacheSalt timeoutMs implied | sampling ... | length prompt ids ...
 *     ABORT  id
 *     FINISH id index tokensKept
 */
const SUBMIT = 1;
const ABORT = 2;
const FINISH = 3;

export class CommandWriter {
  private numbers = new Float64Array(4096);
  private length = 0;

  get empty(): boolean {
    return this.length === 0;
  }

  submit(request: EngineRequest): void {
    const { sampling, prompt } = request;
    const bias = sampling.logitBias;
    this.reserve(32 + sampling.stopTokenIds.length + 2 * (bias?.size ?? 0) + prompt.length);
    this.put(SUBMIT, request.id, request.outputTokensMax, request.priority, request.cacheSalt);
    this.put(request.timeoutMs ?? Number.POSITIVE_INFINITY, request.impliedOutputTokens);
    this.put(sampling.temperature, sampling.topP, sampling.topK, sampling.minP);
    this.put(sampling.presencePenalty, sampling.frequencyPenalty, sampling.repetitionPenalty);
    this.put(sampling.seed ?? Number.NaN, sampling.outputTokensMin, sampling.ignoreEos ? 1 : 0);
    this.put(sampling.logprobs ?? -1, sampling.promptLogprobs ?? -1, sampling.n);
    this.put(sampling.stopTokenIds.length, ...sampling.stopTokenIds);
    this.put(bias?.size ?? 0);
    if (bias !== null) for (const [id, value] of bias) this.put(id, value);
    this.put(prompt.length);
    this.numbers.set(prompt, this.length);
    this.length += prompt.length;
  }

  abort(id: number): void {
    this.reserve(2);
    this.put(ABORT, id);
  }

  finish(id: number, index: number, tokensKept: number): void {
    this.reserve(4);
    this.put(FINISH, id, index, tokensKept);
  }

  /** The commands so far as an array of their own; the writer is empty then. */
  take(): Float64Array {
    const taken = this.numbers.slice(0, this.length);
    this.length = 0;
    return taken;
  }

  private put(...values: number[]): void {
    for (const value of values) this.numbers[this.length++] = value;
  }

  private reserve(count: number): void {
    if (this.length + count <= this.numbers.length) return;
    const larger = new Float64Array(2 * (this.length + count));
    larger.set(this.numbers);
    this.numbers = larger;
  }
}

export interface CommandHandler {
  submit(request: EngineRequest): void;
  abort(id: number): void;
  finish(id: number, index: number, tokensKept: number): void;
}

/** Hands the commands of one message to `handler`, in their order. */
export function readCommands(numbers: Float64Array, handler: CommandHandler): void {
  let at = 0;
  while (at < numbers.length) {
    const code = numbers[at]!;
    if (code === ABORT) {
      handler.abort(numbers[at + 1]!);
      at += 2;
    } else if (code === FINISH) {
      handler.finish(numbers[at + 1]!, numbers[at + 2]!, numbers[at + 3]!);
      at += 4;
    } else {
      at = readSubmit(numbers, at + 1, handler);
    }
  }
}

function readSubmit(numbers: Float64Array, from: number, handler: CommandHandler): number {
  let at = from;
  const next = () => numbers[at++]!;
  const optional = (absent: number) => {
    const value = next();
    return Object.is(value, absent) ? null : value;
  };
  const id = next();
  const outputTokensMax = next();
  const priority = next();
  const cacheSalt = next();
  const timeoutMs = optional(Number.POSITIVE_INFINITY);
  const impliedOutputTokens = next();
  const sampling: Mutable<SamplingParameters> = {
    temperature: next(),
    topP: next(),
    topK: next(),
    minP: next(),
    presencePenalty: next(),
    frequencyPenalty: next(),
    repetitionPenalty: next(),
    seed: optional(Number.NaN),
    outputTokensMin: next(),
    ignoreEos: next() === 1,
    logprobs: optional(-1),
    promptLogprobs: optional(-1),
    n: next(),
    stopTokenIds: [],
    logitBias: null,
  };
  const stops = next();
  if (stops > 0) sampling.stopTokenIds = Array.from({ length: stops }, next);
  const biases = next();
  if (biases > 0) sampling.logitBias = new Map(Array.from({ length: biases }, () => [next(), next()]));
  const length = next();
  const prompt = Int32Array.from(numbers.subarray(at, at + length));
  handler.submit({ id, prompt, outputTokensMax, sampling, priority, cacheSalt, timeoutMs, impliedOutputTokens });
  return at + length;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
