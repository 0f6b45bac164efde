import { ConfigError } from '../core/errors.ts';
import { GREEDY, type SamplingParameters } from '../core/request.ts';
import { StreamTokens, type TokenSource } from '../core/token-source.ts';
import { type ArrivalProcess, type ArrivalSpec, arrivalProcess, type ClosedLoopArrivals } from './arrivals.ts';
import { type LengthSpec, lengthSource } from './lengths.ts';
import { CV_MAX, gammaSource, uniformSource } from './random.ts';
import { type PromptSource, type SharedPrefixPrompts, sharedPrefixPrompts } from './shared-prefix.ts';
import { checkBetween, checkCount, checkNotNegative, checkPositive } from './spec-check.ts';
import { type Workload, WorkloadRequest } from './workload.ts';

/** A generated workload. It ends at the first of `requests`, `durationS` and the arrivals' own end; one of them must exist. */
export interface WorkloadSpec {
  readonly arrivals: ArrivalSpec;
  readonly prompts: PromptSpec;
  /** Requests in all; null = no limit. */
  readonly requests: number | null;
  /** No request arrives at or after this time; null = no limit. */
  readonly durationS: number | null;
  /**
   * null: outputs have exactly the drawn length (ignore_eos, as benchmark clients ask). A number: the limit that the client sends;
   * the model ends by itself after the drawn length, if that is shorter.
   */
  readonly outputTokensMax: number | null;
  /** Smaller is more urgent. */
  readonly priority: number;
  /** null = none. */
  readonly timeoutS: number | null;
}

export type PromptSpec = IndependentPrompts | SharedPrefixPrompts;

/** Prompts that share nothing. */
export interface IndependentPrompts {
  readonly kind: 'independent';
  readonly promptTokens: LengthSpec;
  readonly outputTokens: LengthSpec;
}

const BATCH = 512;
const SECOND_NS = 1e9;

/**
 * Requests drawn from `spec`, batch by batch: memory does not grow with their number. The same spec and seed give the same
 * requests. Throws ConfigError (field, value, what is allowed) for numbers that are not allowed.
 */
export function generatedWorkload(spec: WorkloadSpec, seed: number | string): Workload {
  if (spec.requests !== null) checkCount('requests', spec.requests);
  if (spec.durationS !== null) checkPositive('durationS', spec.durationS);
  const source = new RequestSource(spec, seed);
  const arrivals = spec.arrivals;
  if (arrivals.kind !== 'stages' && spec.requests === null && spec.durationS === null) {
    throw new ConfigError('requests', null, 'requests or durationS must limit the workload');
  }
  return arrivals.kind === 'closed-loop'
    ? new ClosedLoop(spec, arrivals, source, seed)
    : new OpenLoop(spec, arrivalProcess(arrivals, seed), source);
}

/** Content and attributes of request 0, 1, 2, ...; the caller says when it arrives. */
class RequestSource {
  private readonly prompts: PromptSource;
  private readonly outputTokensMax: number | null;
  private readonly sampling: SamplingParameters;
  private readonly priority: number;
  private readonly timeoutNs: number;

  constructor(spec: WorkloadSpec, seed: number | string) {
    if (spec.outputTokensMax !== null) checkCount('outputTokensMax', spec.outputTokensMax);
    if (spec.timeoutS !== null) checkPositive('timeoutS', spec.timeoutS);
    if (!Number.isSafeInteger(spec.priority)) throw new ConfigError('priority', spec.priority, 'an integer');
    this.prompts =
      spec.prompts.kind === 'independent'
        ? new IndependentSource(spec.prompts, seed)
        : sharedPrefixPrompts(spec.prompts, seed);
    this.outputTokensMax = spec.outputTokensMax;
    this.sampling = spec.outputTokensMax === null ? GREEDY : Object.freeze({ ...GREEDY, ignoreEos: false });
    this.priority = spec.priority;
    this.timeoutNs = spec.timeoutS === null ? Number.POSITIVE_INFINITY : Math.round(spec.timeoutS * SECOND_NS);
  }

  at(arrivalNs: number): WorkloadRequest {
    const prompt = this.prompts.next();
    const drawn = this.prompts.outputTokens;
    return new WorkloadRequest(arrivalNs, prompt, this.outputTokensMax ?? drawn, {
      impliedOutputTokens: this.outputTokensMax === null ? Number.POSITIVE_INFINITY : drawn,
      sampling: this.sampling,
      priority: this.priority,
      timeoutNs: this.timeoutNs,
    });
  }
}

class IndependentSource implements PromptSource {
  outputTokens = 0;
  private readonly promptLength: () => number;
  private readonly outputLength: () => number;
  private requests = 0;

  constructor(spec: IndependentPrompts, seed: number | string) {
    this.promptLength = lengthSource(spec.promptTokens, uniformSource(seed, 'prompts'), 'prompts.promptTokens');
    this.outputLength = lengthSource(spec.outputTokens, uniformSource(seed, 'outputs'), 'prompts.outputTokens');
  }

  next(): TokenSource {
    this.outputTokens = this.outputLength();
    return new StreamTokens(this.promptLength(), -++this.requests);
  }
}

class OpenLoop implements Workload {
  readonly requestsExpected: number | null;
  readonly durationExpectedNs: number | null;
  private readonly arrivals: ArrivalProcess;
  private readonly source: RequestSource;
  private readonly endNs: number;
  private left: number;

  constructor(spec: WorkloadSpec, arrivals: ArrivalProcess, source: RequestSource) {
    this.arrivals = arrivals;
    this.source = source;
    this.left = Math.min(spec.requests ?? Number.POSITIVE_INFINITY, arrivals.requestsTotal ?? Number.POSITIVE_INFINITY);
    this.endNs = spec.durationS === null ? Number.POSITIVE_INFINITY : Math.round(spec.durationS * SECOND_NS);
    this.requestsExpected = Number.isFinite(this.left) ? this.left : null;
    const durationNs = Math.min(this.endNs, arrivals.durationNs ?? Number.POSITIVE_INFINITY);
    this.durationExpectedNs = Number.isFinite(durationNs) ? durationNs : null;
  }

  next(): WorkloadRequest[] | null {
    const batch: WorkloadRequest[] = [];
    while (batch.length < BATCH && this.left > 0) {
      const arrivalNs = this.arrivals.nextNs();
      if (arrivalNs >= this.endNs) this.left = 0;
      else {
        this.left--;
        batch.push(this.source.at(arrivalNs));
      }
    }
    return batch.length > 0 ? batch : null;
  }

  afterFinished(_nowNs: number): null {
    return null;
  }

  close(): void {
    this.left = 0;
  }
}

class ClosedLoop implements Workload {
  readonly requestsExpected: number | null;
  readonly durationExpectedNs: number | null;
  private readonly source: RequestSource;
  private readonly concurrency: number;
  private readonly thinkTimeNs: () => number;
  private readonly endNs: number;
  private left: number;
  private started = false;

  constructor(spec: WorkloadSpec, arrivals: ClosedLoopArrivals, source: RequestSource, seed: number | string) {
    checkCount('arrivals.concurrency', arrivals.concurrency);
    checkNotNegative('arrivals.thinkTimeS', arrivals.thinkTimeS);
    checkBetween('arrivals.thinkTimeCv', arrivals.thinkTimeCv, 0, CV_MAX);
    const thinking = gammaSource(uniformSource(seed, 'thinking'), arrivals.thinkTimeCv);
    this.thinkTimeNs = () => Math.round(arrivals.thinkTimeS * SECOND_NS * thinking());
    this.source = source;
    this.concurrency = arrivals.concurrency;
    this.left = spec.requests ?? Number.POSITIVE_INFINITY;
    this.endNs = spec.durationS === null ? Number.POSITIVE_INFINITY : Math.round(spec.durationS * SECOND_NS);
    this.requestsExpected = spec.requests;
    this.durationExpectedNs = spec.durationS === null ? null : this.endNs;
  }

  /** Every user's first request, at time 0; the others follow from `afterFinished`. */
  next(): WorkloadRequest[] | null {
    if (this.started) return null;
    this.started = true;
    const batch: WorkloadRequest[] = [];
    while (batch.length < this.concurrency && this.left > 0) {
      this.left--;
      batch.push(this.source.at(0));
    }
    return batch.length > 0 ? batch : null;
  }

  afterFinished(nowNs: number): WorkloadRequest | null {
    if (this.left === 0) return null;
    const arrivalNs = nowNs + this.thinkTimeNs();
    // This user leaves; one that thinks for a shorter time may still come.
    if (arrivalNs >= this.endNs) return null;
    this.left--;
    return this.source.at(arrivalNs);
  }

  close(): void {
    this.left = 0;
  }
}
