import type { FinishReason, RejectionReason, RequestFields, StepFailure } from '../core/index.ts';

/** A request on its way to the engine thread; its timeout is wall time from now on. */
export interface EngineRequest extends Omit<RequestFields, 'prompt'> {
  /** Never used twice in the life of a gateway. */
  readonly id: number;
  readonly prompt: Int32Array;
}

/**
 * Log-probabilities of a stretch of tokens, each with its `top` most likely alternatives: token i has chosen[i], and
 * topIds / topLogprobs [i * top, (i + 1) * top), most likely first. Natural logarithms.
 */
export interface TokenLogprobs {
  readonly top: number;
  readonly chosen: Float64Array;
  readonly topIds: Int32Array;
  readonly topLogprobs: Float64Array;
}

/** What comes back from the engine for one request; calls of one step arrive together, then `stepEnd` is called once. */
export interface EngineSink {
  /** Sequence `index` got the tokens ids[at .. at + count); the array is only lent. */
  tokens(index: number, ids: Int32Array, at: number, count: number, logprobs: TokenLogprobs | null): void;
  /** Before the first token of sequence `index`: prompt tokens that it need not compute. */
  admitted(index: number, cachedPromptTokens: number): void;
  /** Of the prompt's tokens from the second on; once, before the first token. */
  promptLogprobs(logprobs: TokenLogprobs): void;
  /** Once per sequence, after its last token. `stopTokenId`: the id that ended it as `stop`, NONE otherwise. */
  finished(index: number, reason: FinishReason, detail: FinishDetail): void;
  /** All calls of one step have been made; `stepEndNs`: wall time at which the engine had the step's tokens. */
  stepEnd(stepEndNs: number): void;
  /** One of these calls threw: the request ends as an error of the server, and no call follows but `stepEnd`. */
  failed(): void;
}

export interface FinishDetail {
  readonly outputTokens: number;
  readonly stopTokenId: number;
  /** Of a rejected request. */
  readonly rejection: RejectionReason | null;
}

/** What the engine thread says of itself, read from memory that it shares: true even while it hangs. */
export interface EngineStatus {
  readonly stepsDone: number;
  readonly runningSequences: number;
  readonly waitingSequences: number;
  readonly swappedSequences: number;
  readonly blocksTotal: number;
  readonly blocksUsed: number;
  readonly blocksCached: number;
  readonly outputTokens: number;
  /** Engine time since its start, ns. */
  readonly engineNs: number;
  /** How far the engine's time is behind the wall's, ns. */
  readonly lagNs: number;
  /** 99th percentile and last value of the absolute error of a step's end on the wall clock, ns. */
  readonly paceErrorP99Ns: number;
  readonly paceErrorLastNs: number;
  /** Counts each turn of the engine thread's loop. */
  readonly heartbeats: number;
  /** 1: the device is gone, and every request is refused; 0 otherwise. */
  readonly deviceLost: number;
}

export type EngineState = 'starting' | 'running' | 'draining' | 'restarting' | 'closed';

/** An order for the engine beside requests. */
export type AdminCall =
  | { readonly call: 'drain' }
  | { readonly call: 'reset-prefix-cache' }
  | { readonly call: 'check' }
  | { readonly call: 'inject-fault'; readonly fault: InjectedFault }
  | TimelineCall
  | DebugCall;

/**
 * trace: records every step for so many wall seconds; answered with a StepTrace when it is over, or stopped.
 * slow-steps: answered with a SlowStepsReport. recent-timeline: TimelineChunks of the last minutes.
 */
export type TimelineCall =
  | { readonly call: 'trace'; readonly seconds: number }
  | { readonly call: 'stop-trace' }
  | { readonly call: 'slow-steps' }
  | { readonly call: 'recent-timeline' };

/** What the person on call asks; answered with plain values in which requests go by the engine's numbers. */
export type DebugCall =
  | { readonly call: 'debug-state' | 'debug-audit' | 'debug-leaks' | 'debug-flight-recorder' }
  | { readonly call: 'debug-block'; readonly block: number };

/** Troubles of the simulated world that start now; durations in wall seconds. */
export type InjectedFault =
  | { readonly kind: StepFailure }
  | { readonly kind: 'slow'; readonly factor: number; readonly seconds: number }
  | { readonly kind: 'unhealthy'; readonly seconds: number }
  | { readonly kind: 'hang'; readonly seconds: number }
  | { readonly kind: 'hang-thread'; readonly seconds: number }
  | { readonly kind: 'slow-host'; readonly factor: number; readonly seconds: number }
  | { readonly kind: 'leak-blocks'; readonly blocks: number }
  | { readonly kind: 'wrong-reference' };

/** What a fault was planted in: the number of a request, where one runs. */
export interface PlantedFault {
  readonly blocks: number;
  readonly request: number | null;
}

/** The gateway's way to the engine, wherever that runs. */
export interface EngineLink {
  readonly state: EngineState;
  readonly status: EngineStatus;
  /** Times the engine has been started again. */
  readonly restarts: number;
  /** Requests that are with the engine. */
  readonly live: number;
  /** Requests are here and no step has ended for so long, ms; 0 while all is well. */
  readonly stalledMs: number;
  /** Since the engine's loop was last seen to turn, ms, to a quarter of a second; it turns five times a second when idle. */
  readonly silentMs: number;
  /** Throws EngineDownError while there is no engine to take it. */
  submit(request: EngineRequest, sink: EngineSink): void;
  /** Ends all sequences of a request as `abort`; unknown ids are ignored. */
  abort(id: number): void;
  /** A stop string was found: sequence `index` ends as `stop` with its first `tokensKept` output tokens. */
  finish(id: number, index: number, tokensKept: number): void;
  /**
   * The answer is a plain value, or null. Throws EngineDownError while there is no engine, EngineBrokenError when it breaks an
   * invariant, and what the engine says is wrong.
   */
  admin(call: AdminCall): Promise<unknown>;
  close(): Promise<void>;
}

/** The engine is not there (it is being started again, or the server is going down). */
export class EngineDownError extends Error {
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super('the engine is not running');
    this.name = 'EngineDownError';
    this.retryAfterMs = retryAfterMs;
  }
}

/** The engine has broken one of its invariants, which the message names. It is started again. */
export class EngineBrokenError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EngineBrokenError';
  }
}
