import type { RequestId } from './ids.ts';
import type { TokenSource } from './token-source.ts';

/** How tokens are chosen: the union of what vLLM, SGLang and the OpenAI API offer. Checked at the edge; the core carries it. */
export interface SamplingParameters {
  /** 0 = greedy. */
  readonly temperature: number;
  readonly topP: number;
  /** 0 = off. */
  readonly topK: number;
  readonly minP: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** 1 = off. */
  readonly repetitionPenalty: number;
  readonly logitBias: ReadonlyMap<number, number> | null;
  /** null: the engine's seed and the request's id decide. */
  readonly seed: number | null;
  /** Ids that end the sequence as `stop`, beside the model's end-of-sequence ids. */
  readonly stopTokenIds: readonly number[];
  readonly outputTokensMin: number;
  readonly ignoreEos: boolean;
  /** Alternatives reported per output token; null = none. */
  readonly logprobs: number | null;
  readonly promptLogprobs: number | null;
  /** Sequences that are generated from one prompt. */
  readonly n: number;
}

export const GREEDY: SamplingParameters = Object.freeze({
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: null,
  seed: null,
  stopTokenIds: Object.freeze([]) as readonly number[],
  outputTokensMin: 0,
  ignoreEos: true,
  logprobs: null,
  promptLogprobs: null,
  n: 1,
});

/** One request as the core sees it: immutable. Times are nanoseconds since the run began. */
export class Request {
  readonly id: RequestId;
  readonly arrivalNs: number;
  readonly prompt: TokenSource;
  readonly sampling: SamplingParameters;
  /** At least 1. */
  readonly outputTokensMax: number;
  /** Smaller is more urgent, as in vLLM. */
  readonly priority: number;
  /** Interned by the edge: equal numbers may share cached blocks, different ones never do. 0 = no salt. */
  readonly cacheSalt: number;
  /** Infinity = none. */
  readonly deadlineNs: number;
  /**
   * Output tokens after which the model would end by itself (simulated backend and tests only): read by backends, never by
   * the scheduler. Infinity = only the length ends it.
   */
  readonly impliedOutputTokens: number;

  constructor(
    id: number,
    arrivalNs: number,
    prompt: TokenSource,
    outputTokensMax: number,
    sampling: SamplingParameters = GREEDY,
    priority = 0,
    cacheSalt = 0,
    deadlineNs: number = Number.POSITIVE_INFINITY,
    impliedOutputTokens: number = Number.POSITIVE_INFINITY,
  ) {
    this.id = id as RequestId;
    this.arrivalNs = arrivalNs;
    this.prompt = prompt;
    this.sampling = sampling;
    this.outputTokensMax = outputTokensMax;
    this.priority = priority;
    this.cacheSalt = cacheSalt;
    this.deadlineNs = deadlineNs;
    this.impliedOutputTokens = impliedOutputTokens;
  }
}
