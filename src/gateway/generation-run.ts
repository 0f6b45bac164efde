import type { FinishReason, RejectionReason } from '../core/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { ApiError, badRequest, deadlineExceeded, overloaded, serverError } from './api/api-error.ts';
import type { GenerationCall } from './api/generation-call.ts';
import { ChoiceText } from './choice-text.ts';
import {
  EngineDownError,
  type EngineLink,
  type EngineSink,
  type EngineState,
  type FinishDetail,
  type TokenLogprobs,
} from './engine-link.ts';

/** One choice of the answer: a sequence of the engine with its text. */
export interface Choice {
  readonly index: number;
  /** Index of its prompt. */
  readonly prompt: number;
  readonly text: ChoiceText;
  finishReason: FinishReason | null;
  /** vLLM's `stop_reason`: the stop string or stop token id that ended it; null otherwise. */
  stopReason: string | number | null;
}

export interface Usage {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedPromptTokens: number;
}

/** Where an answer goes: a stream of events, or one body at the end. Calls of one step end with `flush`. */
export interface CallOutput {
  /** The engine has the tokens ids[at .. at + count) of a choice; `released` is the text that they release, one entry per token. */
  tokens(choice: Choice, ids: Int32Array, at: number, count: number, logprobs: TokenLogprobs | null): void;
  promptLogprobs(prompt: number, logprobs: TokenLogprobs): void;
  finished(choice: Choice): void;
  /** All choices have ended well. */
  done(usage: Usage): void;
  failed(error: ApiError): void;
  flush(stepEndNs: number): void;
}

export interface GenerationPlan {
  readonly call: GenerationCall;
  readonly prompts: readonly Int32Array[];
  /** Per prompt, at least 1. */
  readonly outputTokensMax: readonly number[];
  /** Per prompt: where a simulated model ends by itself; Infinity = only at the maximum. */
  readonly impliedOutputTokens: readonly number[];
  readonly cacheSalt: number;
  readonly tenant: number;
  readonly timeoutMs: number | null;
  /** Log-probabilities that the engine is asked for: alternatives per output token and per prompt token; null = none. */
  readonly logprobs: number | null;
  readonly promptLogprobs: number | null;
}

/** What has become of a call, told once. */
export type CallOutcome = 'completed' | 'aborted' | 'rejected' | 'timeout' | 'error';

export interface RunListener {
  /** The engine has got the request of one prompt, under this id. */
  submitted(id: number): void;
  firstToken(): void;
  tokens(count: number): void;
  ended(outcome: CallOutcome, usage: Usage): void;
}

/**
 * One call of a client on its way through the engine: a request per prompt, n choices each. However it ends, `listener.ended` is
 * told once, and the output gets either `done` or `failed` unless the client is gone.
 */
export class GenerationRun {
  readonly choices: Choice[] = [];
  cachedPromptTokens = 0;
  private readonly link: EngineLink;
  private readonly output: CallOutput;
  private readonly listener: RunListener;
  private readonly plan: GenerationPlan;
  private readonly ids: number[] = [];
  private open: number;
  private ended = false;
  private begun = false;

  constructor(link: EngineLink, tokenizer: Tokenizer, plan: GenerationPlan, output: CallOutput, listener: RunListener) {
    this.link = link;
    this.plan = plan;
    this.output = output;
    this.listener = listener;
    const { call } = plan;
    const { n } = call.sampling;
    this.open = plan.prompts.length * n;
    for (let index = 0; index < this.open; index++) {
      this.choices.push({
        index,
        prompt: Math.floor(index / n),
        text: new ChoiceText(
          tokenizer,
          call.skipSpecialTokens,
          call.stop,
          call.includeStop,
          call.sampling.outputTokensMin,
        ),
        finishReason: null,
        stopReason: null,
      });
    }
  }

  /** Hands the requests to the engine; `nextId` gives ids that were never used. */
  start(nextId: () => number): void {
    const { call, prompts } = this.plan;
    const sampling = { ...call.sampling, logprobs: this.plan.logprobs, promptLogprobs: this.plan.promptLogprobs };
    try {
      prompts.forEach((prompt, index) => {
        const id = nextId();
        this.ids.push(id);
        this.link.submit(
          {
            ...call.requestFields,
            id,
            prompt,
            outputTokensMax: this.plan.outputTokensMax[index]!,
            sampling,
            cacheSalt: this.plan.cacheSalt,
            tenant: this.plan.tenant,
            timeoutNs: this.plan.timeoutMs === null ? Number.POSITIVE_INFINITY : this.plan.timeoutMs * 1e6,
            impliedOutputTokens: this.plan.impliedOutputTokens[index]!,
          },
          new PromptSink(this, id, index, index * sampling.n),
        );
        this.listener.submitted(id);
      });
    } catch (error) {
      if (!(error instanceof EngineDownError)) throw error;
      this.fail(engineDown(this.link.state, error.retryAfterMs), 'rejected');
    }
  }

  /** The client is gone, or was cut off: nothing more is sent, the engine forgets it. */
  cancel(): void {
    if (this.ended) return;
    this.end('aborted');
  }

  /** The operator ends it: the choices that are open finish as `abort`, with what they have. */
  abort(): void {
    for (const id of this.ids) this.link.abort(id);
  }

  get usage(): Usage {
    let outputTokens = 0;
    for (const choice of this.choices) outputTokens += choice.text.tokens;
    let promptTokens = 0;
    for (const prompt of this.plan.prompts) promptTokens += prompt.length;
    return { promptTokens, outputTokens, cachedPromptTokens: this.cachedPromptTokens };
  }

  /** Tokens of one choice, in the engine's order. */
  tokens(
    id: number,
    first: number,
    index: number,
    ids: Int32Array,
    at: number,
    count: number,
    logprobs: TokenLogprobs | null,
  ): void {
    const choice = this.choices[first + index]!;
    if (this.ended || choice.finishReason !== null) return;
    if (!this.begun) {
      this.begun = true;
      this.listener.firstToken();
    }
    this.listener.tokens(count);
    if (this.plan.call.outputTokensMax === 0) return; // echo alone: the one token that the engine needs is not part of the answer
    this.output.tokens(choice, ids, at, count, logprobs);
    if (choice.text.stopString === null) return;
    choice.stopReason = choice.text.stopString;
    this.link.finish(id, index, choice.text.tokens);
    this.close(choice, 'stop');
  }

  promptLogprobs(prompt: number, logprobs: TokenLogprobs): void {
    if (!this.ended) this.output.promptLogprobs(prompt, logprobs);
  }

  finished(first: number, index: number, reason: FinishReason, detail: FinishDetail): void {
    const choice = this.choices[first + index]!;
    if (this.ended || choice.finishReason !== null) return;
    if (reason === 'rejected') this.fail(rejectionError(detail.rejection!), 'rejected');
    else if (reason === 'timeout') this.fail(deadlineExceeded('the deadline of the request has passed'), 'timeout');
    else if (reason === 'error')
      this.fail(serverError('engine_failed', 'the engine failed while it worked on the request'), 'error');
    else {
      if (reason === 'stop' && this.plan.call.sampling.stopTokenIds.includes(detail.stopTokenId))
        choice.stopReason = detail.stopTokenId;
      this.close(choice, reason);
    }
  }

  flush(stepEndNs: number): void {
    this.output.flush(stepEndNs);
  }

  /** The answer could not be written. */
  broken(): void {
    if (this.ended) return;
    this.fail(serverError('internal_error', 'the server failed while it wrote the answer'), 'error');
  }

  private close(choice: Choice, reason: FinishReason): void {
    choice.finishReason = this.plan.call.outputTokensMax === 0 ? 'length' : reason;
    this.output.finished(choice);
    if (--this.open > 0) return;
    this.output.done(this.usage);
    this.end('completed');
  }

  private fail(error: ApiError, outcome: CallOutcome): void {
    this.output.failed(error);
    this.end(outcome);
  }

  private end(outcome: CallOutcome): void {
    this.ended = true;
    if (outcome !== 'completed') this.abort();
    this.listener.ended(outcome, this.usage);
  }
}

/** The engine's view of one prompt of a call. */
class PromptSink implements EngineSink {
  private readonly run: GenerationRun;
  private readonly id: number;
  private readonly prompt: number;
  /** Choice of its sequence 0. */
  private readonly first: number;

  constructor(run: GenerationRun, id: number, prompt: number, first: number) {
    this.run = run;
    this.id = id;
    this.prompt = prompt;
    this.first = first;
  }

  tokens(index: number, ids: Int32Array, at: number, count: number, logprobs: TokenLogprobs | null): void {
    this.run.tokens(this.id, this.first, index, ids, at, count, logprobs);
  }

  /** Siblings share their leader's prompt: only what the leader found counts as cached. */
  admitted(index: number, cachedPromptTokens: number): void {
    if (index === 0) this.run.cachedPromptTokens += cachedPromptTokens;
  }

  promptLogprobs(logprobs: TokenLogprobs): void {
    this.run.promptLogprobs(this.prompt, logprobs);
  }

  finished(index: number, reason: FinishReason, detail: FinishDetail): void {
    this.run.finished(this.first, index, reason, detail);
  }

  stepEnd(stepEndNs: number): void {
    this.run.flush(stepEndNs);
  }

  failed(): void {
    this.run.broken();
  }
}

/** A server that goes down promises no time to come back at. */
function engineDown(state: EngineState, retryAfterMs: number): ApiError {
  if (state === 'draining' || state === 'closed') return rejectionError('draining');
  return overloaded('engine_down', 'the engine is being started again', retryAfterMs);
}

function rejectionError(reason: RejectionReason): ApiError {
  switch (reason) {
    case 'queue-full':
      return new ApiError(429, 'rate_limit_error', 'queue_full', null, "the engine's queue is full", 1000);
    case 'draining':
      return overloaded('draining', 'the server is going down and takes no new requests');
    case 'device-lost':
      return overloaded('device_lost', 'the device is lost');
    case 'deadline-passed':
      return deadlineExceeded('the deadline of the request lies in the past');
    case 'prompt-empty':
      return badRequest('prompt', 'prompt: empty is not allowed; at least one token');
    case 'prompt-too-long':
      return badRequest('prompt', 'prompt: more tokens than the model takes', 'context_length_exceeded');
    case 'never-fits':
      return badRequest(
        'max_tokens',
        'max_tokens: prompt and output together need more KV cache than the device has',
        'context_length_exceeded',
      );
    case 'prompt-exceeds-step':
      return badRequest(
        'prompt',
        'prompt: more tokens than one step takes while chunked prefill is off',
        'context_length_exceeded',
      );
  }
}
