import type { Tokenizer } from '../../tokenizer/index.ts';
import type { TokenLogprobs } from '../engine-link.ts';
import type { TokenLogprob } from './answer-shape.ts';

/** Token `i` of a stretch as the answer shapes read it, with `count` alternatives. */
export function tokenLogprob(logprobs: TokenLogprobs, i: number, id: number, count: number): TokenLogprob {
  const top: { id: number; logprob: number }[] = [];
  for (let j = 0; j < Math.min(count, logprobs.top); j++) {
    const at = i * logprobs.top + j;
    top.push({ id: logprobs.topIds[at]!, logprob: logprobs.topLogprobs[at]! });
  }
  return { id, logprob: logprobs.chosen[i]!, top };
}

/** How tokens are named in log-probabilities: as text, or `token_id:<id>` where the client wants no ambiguity. */
export class TokenNames {
  private readonly tokenizer: Tokenizer;
  private readonly asIds: boolean;

  constructor(tokenizer: Tokenizer, asIds: boolean) {
    this.tokenizer = tokenizer;
    this.asIds = asIds;
  }

  name(id: number): string {
    return this.asIds ? `token_id:${id}` : this.tokenizer.pieceText(id);
  }

  /** `logprobs.content[]` of a chat. */
  chat(entry: TokenLogprob): object {
    return {
      ...this.named(entry.id, entry.logprob),
      top_logprobs: entry.top.map(({ id, logprob }) => this.named(id, logprob)),
    };
  }

  /** `logprobs` of a completion, over the tokens of a choice. */
  completion(
    entries: readonly (TokenLogprob | null)[],
    ids: readonly number[],
    textOffsets: readonly number[],
  ): object {
    return {
      tokens: ids.map((id) => this.name(id)),
      token_logprobs: entries.map((entry) => entry?.logprob ?? null),
      top_logprobs: entries.map((entry) =>
        entry === null ? null : Object.fromEntries(entry.top.map(({ id, logprob }) => [this.name(id), logprob])),
      ),
      text_offset: textOffsets,
    };
  }

  /** vLLM's `prompt_logprobs`: per token of the prompt, by token id. */
  prompt(entries: readonly (TokenLogprob | null)[]): (object | null)[] {
    return entries.map((entry) =>
      entry === null
        ? null
        : Object.fromEntries(
            entry.top.map(({ id, logprob }, rank) => [
              id,
              { logprob, rank: rank + 1, decoded_token: this.tokenizer.pieceText(id) },
            ]),
          ),
    );
  }

  private named(id: number, logprob: number): object {
    return { token: this.name(id), logprob, bytes: [...this.tokenizer.pieceBytes(id)] };
  }
}
