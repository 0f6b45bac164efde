import type { GenerationCall } from '../api/index.ts';
import type { Choice, Usage } from '../generation-run.ts';
import {
  type AnswerIdentity,
  type AnswerShape,
  event,
  type FinishedChoice,
  HOLE,
  idList,
  type LogprobList,
  split,
  type TokenDetail,
  type TokenLogprob,
  usageObject,
} from './answer-shape.ts';
import type { TokenNames } from './token-logprobs.ts';

/** The log-probabilities of one token as a list. */
function one(logprob: TokenLogprob): LogprobList {
  return { length: 1, id: () => logprob.id, at: () => logprob };
}

/** /v1/completions: text, with log-probabilities as parallel lists (OpenAI's API reference, "completion object"). */
export class CompletionShape implements AnswerShape {
  readonly identity: AnswerIdentity;
  readonly done = 'data: [DONE]\n\n';
  private readonly names: TokenNames;

  constructor(identity: AnswerIdentity, names: TokenNames) {
    this.identity = identity;
    this.names = names;
  }

  get suffix(): string {
    return split(this.chunk(0, HOLE, null, null)).suffix;
  }

  opening(): string {
    return '';
  }

  prefix(choice: Choice): string {
    return split(this.chunk(choice.index, HOLE, null, null)).prefix;
  }

  detailed(choice: Choice, text: string, detail: TokenDetail, usage: Usage | null): string {
    const { logprob } = detail;
    const logprobs = logprob === null ? null : this.names.completion(one(logprob), detail.textOffset);
    const chunk = this.chunk(choice.index, text, logprobs, null, detail.tokenIds);
    return event(usage === null ? chunk : { ...chunk, usage: usageObject(usage) });
  }

  closing(choice: Choice, usage: Usage | null): string {
    const chunk = this.chunk(choice.index, '', null, choice);
    return event(usage === null ? chunk : { ...chunk, usage: usageObject(usage) });
  }

  usage(usage: Usage): string {
    return event({ ...this.head(), choices: [], usage: usageObject(usage) });
  }

  body(call: GenerationCall, choices: readonly FinishedChoice[], usage: Usage): object {
    return {
      ...this.head(),
      choices: choices.map(({ choice, text, tokenIds, promptIds, logprobs, promptLogprobs }) => ({
        index: choice.index,
        text,
        logprobs: logprobs === null ? null : this.names.completion(logprobs),
        finish_reason: choice.finishReason,
        stop_reason: choice.stopReason,
        ...(promptLogprobs === null ? {} : { prompt_logprobs: this.names.prompt(promptLogprobs) }),
        ...(call.returnTokenIds ? { token_ids: tokenIds, prompt_token_ids: idList(promptIds) } : {}),
      })),
      usage: usageObject(usage),
    };
  }

  private head(): object {
    const { id, created, model } = this.identity;
    return { id, object: 'text_completion', created, model, system_fingerprint: null };
  }

  private chunk(
    index: number,
    text: string,
    logprobs: object | null,
    ended: Choice | null,
    tokenIds: readonly number[] | null = null,
  ): object {
    return {
      ...this.head(),
      choices: [
        {
          index,
          text,
          logprobs,
          finish_reason: ended?.finishReason ?? null,
          ...(ended === null ? {} : { stop_reason: ended.stopReason }),
          ...(tokenIds === null ? {} : { token_ids: tokenIds }),
        },
      ],
    };
  }
}
