import type { GenerationCall } from '../api/index.ts';
import type { Choice, Usage } from '../generation-run.ts';
import { LazyList, type LazyText } from './json-pieces.ts';

/** What every part of an answer says of itself. */
export interface AnswerIdentity {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** Log-probabilities of one token with its alternatives, most likely first. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** What one token adds to a choice beside its text. */
export interface TokenDetail {
  /** null: not asked for. */
  readonly logprob: TokenLogprob | null;
  readonly tokenIds: readonly number[] | null;
  /** Characters of the choice's text before this token. */
  readonly textOffset: number;
}

/** Log-probabilities of many tokens: each is made when it is asked for. */
export interface LogprobList {
  readonly length: number;
  /** Id of token `index`. */
  id(index: number): number;
  /** null where the model has none (the first token of a prompt). */
  at(index: number): TokenLogprob | null;
}

/** A choice of a body that is sent whole. */
export interface FinishedChoice {
  readonly choice: Choice;
  readonly text: string | LazyText;
  readonly tokenIds: readonly number[];
  readonly promptIds: Int32Array;
  /** Prompt first when it is echoed. */
  readonly logprobs: LogprobList | null;
  /** Of the whole prompt, where asked for. */
  readonly promptLogprobs: LogprobList | null;
}

/** How an endpoint writes its answers: events of a stream as text (ASCII JSON), a whole answer as an object. */
export interface AnswerShape {
  readonly identity: AnswerIdentity;
  /** Events that open a choice; may be empty. */
  opening(choice: Choice): string;
  /** An event of one token is prefix + its text as JSON + suffix. */
  prefix(choice: Choice): string;
  /** Made anew each time it is asked for: keep it. */
  readonly suffix: string;
  /** The same with more to say. */
  detailed(choice: Choice, text: string, detail: TokenDetail, usage: Usage | null): string;
  /** A choice has ended. */
  closing(choice: Choice, usage: Usage | null): string;
  /** The last event with usage and no choices. */
  usage(usage: Usage): string;
  /** What ends the stream. */
  readonly done: string;
  body(call: GenerationCall, choices: readonly FinishedChoice[], usage: Usage): object;
}

/** Token ids as a list of an answer. */
export function idList(ids: Int32Array): LazyList<number> {
  return new LazyList(ids.length, () => (index) => ids[index]!);
}

export function usageObject(usage: Usage): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.promptTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedPromptTokens },
  };
}

const NOT_ASCII = /[\x7f-\uffff]/g;

/** JSON of a value in ASCII alone: one byte a character on the wire, whatever the language. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(NOT_ASCII, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The text as the content of a JSON string, without its quotes. */
export function jsonContent(text: string): string {
  return asciiJson(text).slice(1, -1);
}

export function event(value: object): string {
  return `data: ${asciiJson(value)}\n\n`;
}

/** An event with a hole for the text of a token: what comes before and after it. */
export function split(value: object): { prefix: string; suffix: string } {
  const text = event(value);
  // The last one: an id that a client chose comes before it.
  const at = text.lastIndexOf(HOLE);
  return { prefix: text.slice(0, at), suffix: text.slice(at + HOLE.length) };
}

/** Stands for the text in an event that is to be split. */
export const HOLE = '~~text~~';
