import type { GenerationCall } from '../api/index.ts';
import type { Choice, Usage } from '../generation-run.ts';
import {
  type AnswerIdentity,
  type AnswerShape,
  event,
  type FinishedChoice,
  HOLE,
  idList,
  split,
  type TokenDetail,
  usageObject,
} from './answer-shape.ts';
import type { TokenNames } from './token-logprobs.ts';

/** /v1/chat/completions: a role first, then content, then why it ended (OpenAI's API reference, "chat completion chunk object"). */
export class ChatShape implements AnswerShape {
  readonly identity: AnswerIdentity;
  readonly done = 'data: [DONE]\n\n';
  private readonly names: TokenNames;

  constructor(identity: AnswerIdentity, names: TokenNames) {
    this.identity = identity;
    this.names = names;
  }

  get suffix(): string {
    return split(this.chunk(0, { content: HOLE }, null, null)).suffix;
  }

  opening(choice: Choice): string {
    return event(this.chunk(choice.index, { role: 'assistant', content: '' }, null, null));
  }

  prefix(choice: Choice): string {
    return split(this.chunk(choice.index, { content: HOLE }, null, null)).prefix;
  }

  detailed(choice: Choice, text: string, detail: TokenDetail, usage: Usage | null): string {
    const logprobs = detail.logprob === null ? null : { content: [this.names.chat(detail.logprob)], refusal: null };
    const chunk = this.chunk(choice.index, { content: text }, logprobs, null, detail.tokenIds);
    return event(usage === null ? chunk : { ...chunk, usage: usageObject(usage) });
  }

  closing(choice: Choice, usage: Usage | null): string {
    const chunk = this.chunk(choice.index, {}, null, choice);
    return event(usage === null ? chunk : { ...chunk, usage: usageObject(usage) });
  }

  usage(usage: Usage): string {
    return event({ ...this.head('chat.completion.chunk'), choices: [], usage: usageObject(usage) });
  }

  body(call: GenerationCall, choices: readonly FinishedChoice[], usage: Usage): object {
    return {
      ...this.head('chat.completion'),
      choices: choices.map(({ choice, text, tokenIds, logprobs }) => ({
        index: choice.index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: logprobs === null ? null : { content: this.names.chatList(logprobs), refusal: null },
        finish_reason: choice.finishReason,
        stop_reason: choice.stopReason,
        ...(call.returnTokenIds ? { token_ids: tokenIds } : {}),
      })),
      usage: usageObject(usage),
      ...(choices[0]!.promptLogprobs === null
        ? {}
        : { prompt_logprobs: this.names.prompt(choices[0]!.promptLogprobs) }),
      ...(call.returnTokenIds ? { prompt_token_ids: idList(choices[0]!.promptIds) } : {}),
    };
  }

  private head(object: string): object {
    const { id, created, model } = this.identity;
    return { id, object, created, model, system_fingerprint: null };
  }

  private chunk(
    index: number,
    delta: object,
    logprobs: object | null,
    ended: Choice | null,
    tokenIds: readonly number[] | null = null,
  ): object {
    return {
      ...this.head('chat.completion.chunk'),
      choices: [
        {
          index,
          delta,
          logprobs,
          finish_reason: ended?.finishReason ?? null,
          ...(ended === null ? {} : { stop_reason: ended.stopReason }),
          ...(tokenIds === null ? {} : { token_ids: tokenIds }),
        },
      ],
    };
  }
}
