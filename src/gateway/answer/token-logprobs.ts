import type { Tokenizer } from '../../tokenizer/index.ts';
import type { TokenLogprobs } from '../engine-link.ts';
import type { LogprobList, TokenLogprob } from './answer-shape.ts';
import { LazyList } from './json-pieces.ts';

/** Token `i` of a stretch as the answer shapes read it, with `count` alternatives. */
export function tokenLogprob(logprobs: TokenLogprobs, i: number, id: number, count: number): TokenLogprob {
  const top: { id: number; logprob: number }[] = [];
  for (let j = 0; j < Math.min(count, logprobs.top); j++) {
    const at = i * logprobs.top + j;
    top.push({ id: logprobs.topIds[at]!, logprob: logprobs.topLogprobs[at]! });
  }
  return { id, logprob: logprobs.chosen[i]!, top };
}

/** Log-probabilities of the output of one choice as they come, without an object for each. */
export class OutputLogprobs implements LogprobList {
  private readonly alternatives: number;
  private readonly ids: number[] = [];
  private readonly chosen: number[] = [];
  private readonly topIds: number[] = [];
  private readonly topLogprobs: number[] = [];

  constructor(alternatives: number) {
    this.alternatives = alternatives;
  }

  get length(): number {
    return this.ids.length;
  }

  /** Token `i` of a stretch; alternatives that it does not have are -1. */
  push(logprobs: TokenLogprobs, i: number, id: number): void {
    this.ids.push(id);
    this.chosen.push(logprobs.chosen[i]!);
    for (let j = 0; j < this.alternatives; j++) {
      const has = j < logprobs.top;
      this.topIds.push(has ? logprobs.topIds[i * logprobs.top + j]! : -1);
      this.topLogprobs.push(has ? logprobs.topLogprobs[i * logprobs.top + j]! : 0);
    }
  }

  id(index: number): number {
    return this.ids[index]!;
  }

  at(index: number): TokenLogprob {
    const top: { id: number; logprob: number }[] = [];
    for (let at = index * this.alternatives; at < (index + 1) * this.alternatives && this.topIds[at]! >= 0; at++) {
      top.push({ id: this.topIds[at]!, logprob: this.topLogprobs[at]! });
    }
    return { id: this.ids[index]!, logprob: this.chosen[index]!, top };
  }
}

/** Log-probabilities of a prompt; the first token has none. */
export function promptList(ids: Int32Array, logprobs: TokenLogprobs, alternatives: number): LogprobList {
  return {
    length: ids.length,
    id: (index) => ids[index]!,
    at: (index) => (index === 0 ? null : tokenLogprob(logprobs, index - 1, ids[index]!, alternatives)),
  };
}

/** One list behind the other. */
export function joined(first: LogprobList, second: LogprobList): LogprobList {
  return {
    length: first.length + second.length,
    id: (index) => (index < first.length ? first.id(index) : second.id(index - first.length)),
    at: (index) => (index < first.length ? first.at(index) : second.at(index - first.length)),
  };
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

  /** `logprobs.content` of a chat. */
  chatList(list: LogprobList): LazyList<object | null> {
    return lazily(list.length, (index) => {
      const entry = list.at(index);
      return entry === null ? null : this.chat(entry);
    });
  }

  /** `logprobs` of a completion, over tokens whose text begins `textOffset` characters into that of the choice. */
  completion(list: LogprobList, textOffset = 0): object {
    const { length } = list;
    return {
      tokens: lazily(length, (index) => this.name(list.id(index))),
      token_logprobs: lazily(length, (index) => list.at(index)?.logprob ?? null),
      top_logprobs: lazily(length, (index) => {
        const entry = list.at(index);
        if (entry === null) return null;
        return Object.fromEntries(entry.top.map(({ id, logprob }) => [this.name(id), logprob]));
      }),
      text_offset: new LazyList(length, () => {
        // Of the tokens as they are, not of what is released: text may be held back for a stop string.
        let next = textOffset;
        return (index) => {
          const offset = next;
          next += this.tokenizer.pieceText(list.id(index)).length;
          return offset;
        };
      }),
    };
  }

  /** vLLM's `prompt_logprobs`: per token of the prompt, by token id. */
  prompt(list: LogprobList): LazyList<object | null> {
    return lazily(list.length, (index) => {
      const entry = list.at(index);
      if (entry === null) return null;
      return Object.fromEntries(
        entry.top.map(({ id, logprob }, rank) => [
          id,
          { logprob, rank: rank + 1, decoded_token: this.tokenizer.pieceText(id) },
        ]),
      );
    });
  }

  private named(id: number, logprob: number): object {
    return { token: this.name(id), logprob, bytes: [...this.tokenizer.pieceBytes(id)] };
  }
}

/** A list whose items depend on nothing before them. */
function lazily<T>(length: number, item: (index: number) => T): LazyList<T> {
  return new LazyList(length, () => item);
}
