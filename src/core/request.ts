import type { RequestId } from './ids.ts';
import { mix32 } from './rng.ts';
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

/** What a request may leave out. Wires and copies go over these keys, so that a new field is added here and where it is read from. */
const DEFAULTS = {
  sampling: GREEDY,
  /** Smaller is more urgent, as in vLLM. */
  priority: 0,
  /** Interned by the edge: equal numbers may share cached blocks, different ones never do. 0 = no salt. */
  cacheSalt: 0,
  /** Whose request it is: places in the batch are shared between tenants. */
  tenant: 0,
  /** From its sending until it must have ended, ns; Infinity = no limit. */
  timeoutNs: Number.POSITIVE_INFINITY,
  /**
   * Output tokens after which the model would end by itself (simulated backend and tests only): read by backends, never by
   * the scheduler. Infinity = only the length ends it.
   */
  impliedOutputTokens: Number.POSITIVE_INFINITY,
  /** `labelNumber` of the conversation that it belongs to, for routing; 0 = none. */
  session: 0,
  /** `labelNumber` of the class of service that it belongs to; 0 = none. */
  sloClass: 0,
};

type Defaults = Readonly<typeof DEFAULTS>;

export const REQUEST_DEFAULTS: Defaults = DEFAULTS;

/** A request as its source writes it down: what is left out has its default. */
export type RequestSpec = Pick<RequestFields, 'prompt' | 'outputTokensMax'> & Partial<Defaults>;

/** One request, whether it comes from a client, a trace or a generator. Each field is assigned by itself: one shape, and no copies. */
export class RequestFields implements Defaults {
  readonly prompt: TokenSource;
  /** At least 1. */
  readonly outputTokensMax: number;
  readonly sampling: SamplingParameters;
  readonly priority: number;
  readonly cacheSalt: number;
  readonly tenant: number;
  readonly timeoutNs: number;
  readonly impliedOutputTokens: number;
  readonly session: number;
  readonly sloClass: number;

  constructor(prompt: TokenSource, outputTokensMax: number, rest: Partial<Defaults>) {
    this.prompt = prompt;
    this.outputTokensMax = outputTokensMax;
    this.sampling = rest.sampling ?? GREEDY;
    this.priority = rest.priority ?? DEFAULTS.priority;
    this.cacheSalt = rest.cacheSalt ?? DEFAULTS.cacheSalt;
    this.tenant = rest.tenant ?? DEFAULTS.tenant;
    this.timeoutNs = rest.timeoutNs ?? DEFAULTS.timeoutNs;
    this.impliedOutputTokens = rest.impliedOutputTokens ?? DEFAULTS.impliedOutputTokens;
    this.session = rest.session ?? DEFAULTS.session;
    this.sloClass = rest.sloClass ?? DEFAULTS.sloClass;
  }
}

/** One request as the core sees it: immutable. Times are nanoseconds since the run began. */
export class Request extends RequestFields {
  readonly id: RequestId;
  readonly arrivalNs: number;
  /** Infinity = none. */
  readonly deadlineNs: number;

  /** `sentNs`: when its client sent it, from which its timeout counts. */
  constructor(id: number, arrivalNs: number, spec: RequestSpec, sentNs: number = arrivalNs) {
    super(spec.prompt, spec.outputTokensMax, spec);
    this.id = id as RequestId;
    this.arrivalNs = arrivalNs;
    this.deadlineNs = sentNs + this.timeoutNs;
  }
}

/**
 * A name as a number above 0 and below 2^53: equal names have equal numbers, in every process, and different ones meet with a probability
 * of 2^-53. Two lanes of FNV-1a (G. Fowler, L. Noll, K. Vo, RFC 9923) with different primes.
 */
export function labelNumber(name: string): number {
  let low = 0x811c9dc5;
  let high = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x85ebca6b);
  }
  return (mix32(high) >>> 11) * 2 ** 32 + (mix32(low) >>> 0) || 1;
}
