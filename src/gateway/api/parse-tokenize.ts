import { badRequest, unsupportedParameter } from './api-error.ts';
import type { PromptInput, ServedLimits } from './generation-call.ts';
import { assertWellFormed, missing, notAllowed } from './lax-reader.ts';
import { chatOptions } from './parse-chat.ts';
import { parseMessages } from './parse-messages.ts';
import { parseTokenIds } from './parse-prompts.ts';
import { bodyObject, readBody } from './request-body.ts';
import { resolveModel } from './resolve-sampling.ts';
import { DetokenizeRequestSchema, TokenizeContentSchema, TokenizeRequestSchema } from './tokenize-schema.ts';

/** What is to be tokenised, and in which of the two shapes in use the answer is expected. */
export type TokenizeCall =
  | {
      readonly shape: 'vllm';
      readonly prompt: PromptInput;
      readonly addSpecialTokens: boolean;
      /** The answer has `token_strs`. */
      readonly returnTokenStrings: boolean;
    }
  | {
      readonly shape: 'llama.cpp';
      readonly prompt: PromptInput;
      readonly addSpecialTokens: boolean;
      /** The answer's tokens are objects with id and piece. */
      readonly withPieces: boolean;
    };

export interface DetokenizeCall {
  /** vLLM's body names the model and is answered by `prompt`; llama.cpp's does not, and by `content`. */
  readonly shape: 'vllm' | 'llama.cpp';
  readonly ids: Int32Array;
}

/** A body of POST /tokenize: `{model, prompt | messages}` (vLLM) or `{content}` (llama.cpp). @throws ApiError 400, 404 */
export function parseTokenize(body: unknown, limits: ServedLimits): TokenizeCall {
  const object = bodyObject(body);
  if (Object.hasOwn(object, 'content')) return parseContent(object);
  const { fields } = readBody(TokenizeRequestSchema, body, ['prompt', 'messages']);
  resolveModel(fields.model, limits);
  const { prompt, messages } = object;
  const returnTokenStrings = fields.return_token_strs ?? false;
  if (prompt !== undefined && messages !== undefined) {
    throw badRequest('prompt', 'prompt: not together with messages', 'invalid_value');
  }
  if (messages !== undefined) {
    const chat = { kind: 'chat' as const, messages: parseMessages(messages, limits), options: chatOptions(fields) };
    return { shape: 'vllm', prompt: chat, addSpecialTokens: fields.add_special_tokens ?? false, returnTokenStrings };
  }
  if (prompt === undefined) throw missing('prompt', 'a string (or messages, or content)');
  const text = textOf(prompt, 'prompt');
  return {
    shape: 'vllm',
    prompt: { kind: 'text', text },
    addSpecialTokens: fields.add_special_tokens ?? true,
    returnTokenStrings,
  };
}

function parseContent(object: Readonly<Record<string, unknown>>): TokenizeCall {
  const { fields } = readBody(TokenizeContentSchema, object, ['content']);
  const text = textOf(object['content'], 'content');
  if (fields.parse_special === false) {
    const message = 'parse_special: got false; allowed: true, special tokens in the text are always read as such';
    throw unsupportedParameter('parse_special', message);
  }
  return {
    shape: 'llama.cpp',
    prompt: { kind: 'text', text },
    addSpecialTokens: fields.add_special ?? false,
    withPieces: fields.with_pieces ?? false,
  };
}

/** A body of POST /detokenize. @throws ApiError 400, 404 */
export function parseDetokenize(body: unknown, limits: ServedLimits): DetokenizeCall {
  const { fields } = readBody(DetokenizeRequestSchema, body, ['tokens']);
  resolveModel(fields.model, limits);
  const { tokens } = bodyObject(body);
  if (!Array.isArray(tokens)) throw notAllowed('tokens', tokens, 'a list of token ids');
  const ids = parseTokenIds(tokens, 'tokens', limits);
  return { shape: Object.hasOwn(bodyObject(body), 'model') ? 'vllm' : 'llama.cpp', ids };
}

function textOf(value: unknown, param: string): string {
  if (typeof value !== 'string') throw notAllowed(param, value, 'a string', true);
  assertWellFormed(value, param);
  return value;
}
