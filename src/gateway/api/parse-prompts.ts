import { badRequest } from './api-error.ts';
import type { PromptInput, ServedLimits } from './generation-call.ts';
import { assertWellFormed, laxInteger, missing, notAllowed } from './lax-reader.ts';

const ALLOWED = 'a string, a list of strings, a list of token ids, or a list of lists of token ids';

/**
 * The prompts of a completion: a text, texts, the token ids of one prompt, or those of several. A list is one of texts if all
 * are strings, else one of token ids, where "5" and true count as integers: what pydantic decides for vLLM's union. Empty
 * lists are one empty prompt; that a prompt needs a token is checked when its length is known (checkLength).
 * @throws ApiError 400; never with text of a prompt
 */
export function parsePrompts(prompt: unknown, limits: ServedLimits): readonly PromptInput[] {
  if (prompt === undefined) throw missing('prompt', ALLOWED);
  if (typeof prompt === 'string') return [textPrompt(prompt, 'prompt')];
  if (!Array.isArray(prompt)) throw notAllowed('prompt', prompt, ALLOWED, true);
  if (prompt.length === 0) return [tokensPrompt(prompt, 'prompt', limits)];
  if (prompt.every((item) => typeof item === 'string')) {
    requireFew(prompt.length, limits);
    return prompt.map((text, index) => ({ kind: 'text' as const, text: wellFormed(text, `prompt.${index}`) }));
  }
  if (prompt.every((item) => Array.isArray(item))) {
    requireFew(prompt.length, limits);
    return prompt.map((ids: readonly unknown[], index) => tokensPrompt(ids, `prompt.${index}`, limits));
  }
  return [tokensPrompt(prompt, 'prompt', limits)];
}

/** One prompt, as `/generate` takes it. @throws ApiError 400 */
export function parsePrompt(prompt: unknown, limits: ServedLimits): PromptInput {
  if (prompt === undefined) throw missing('prompt', 'a string or a list of token ids');
  if (typeof prompt === 'string') return textPrompt(prompt, 'prompt');
  if (!Array.isArray(prompt)) throw notAllowed('prompt', prompt, 'a string or a list of token ids', true);
  return tokensPrompt(prompt, 'prompt', limits);
}

/** @throws ApiError 400 unless all are token ids of the vocabulary */
export function parseTokenIds(ids: readonly unknown[], path: string, limits: ServedLimits): Int32Array {
  const tokens = new Int32Array(ids.length);
  for (let index = 0; index < ids.length; index++) {
    const id = laxInteger(ids[index]);
    if (id === null || id < 0 || id >= limits.vocabularySize) {
      const allowed = `a token id in [0, ${limits.vocabularySize - 1}]`;
      throw notAllowed(`${path}.${index}`, ids[index], allowed, typeof ids[index] === 'string');
    }
    tokens[index] = id;
  }
  return tokens;
}

function textPrompt(text: string, path: string): PromptInput {
  if (text === '') throw badRequest(path, `${path}: is empty; allowed: ${ALLOWED}`, 'empty_prompt');
  return { kind: 'text', text: wellFormed(text, path) };
}

function tokensPrompt(ids: readonly unknown[], path: string, limits: ServedLimits): PromptInput {
  return { kind: 'tokens', ids: parseTokenIds(ids, path, limits) };
}

function wellFormed(text: string, path: string): string {
  assertWellFormed(text, path);
  return text;
}

function requireFew(count: number, limits: ServedLimits): void {
  if (count <= limits.promptsMax) return;
  throw badRequest('prompt', `prompt: got ${count} prompts; allowed: at most ${limits.promptsMax}`, 'invalid_value');
}
