import type { GenerationCall } from '../api/index.ts';
import type { Choice, Usage } from '../generation-run.ts';
import {
  type AnswerIdentity,
  type AnswerShape,
  event,
  type FinishedChoice,
  HOLE,
  split,
  type TokenDetail,
  usageObject,
} from './answer-shape.ts';
import type { TokenNames } from './token-logprobs.ts';

/** /generate, the native endpoint: the same facts without OpenAI's wrapping. */
export class GenerateShape implements AnswerShape {
  readonly identity: AnswerIdentity;
  readonly done = 'data: [DONE]\n\n';
  private readonly names: TokenNames;

  constructor(identity: AnswerIdentity, names: TokenNames) {
    this.identity = identity;
    this.names = names;
  }

  get suffix(): string {
    return split(this.token(0, HOLE)).suffix;
  }

  opening(): string {
    return '';
  }

  prefix(choice: Choice): string {
    return split(this.token(choice.index, HOLE)).prefix;
  }

  detailed(choice: Choice, text: string, detail: TokenDetail, usage: Usage | null): string {
    return event({
      ...this.token(choice.index, text),
      ...(detail.logprob === null ? {} : { logprob: this.names.chat(detail.logprob) }),
      ...(detail.tokenIds === null ? {} : { token_ids: detail.tokenIds }),
      ...(usage === null ? {} : { usage: usageObject(usage) }),
    });
  }

  closing(choice: Choice, usage: Usage | null): string {
    return event({
      ...this.token(choice.index, ''),
      finish_reason: choice.finishReason,
      stop_reason: choice.stopReason,
      ...(usage === null ? {} : { usage: usageObject(usage) }),
    });
  }

  usage(usage: Usage): string {
    return event({ request_id: this.identity.id, usage: usageObject(usage) });
  }

  body(call: GenerationCall, choices: readonly FinishedChoice[], usage: Usage): object {
    return {
      request_id: this.identity.id,
      model: this.identity.model,
      outputs: choices.map(({ choice, text, tokenIds, logprobs }) => ({
        index: choice.index,
        text,
        ...(call.returnTokenIds ? { token_ids: tokenIds } : {}),
        ...(logprobs === null ? {} : { logprobs: this.names.chatList(logprobs) }),
        finish_reason: choice.finishReason,
        stop_reason: choice.stopReason,
      })),
      usage: usageObject(usage),
    };
  }

  private token(index: number, text: string): object {
    return { request_id: this.identity.id, index, text };
  }
}
