import { Type } from 'typebox';
import { logprobCount, nullable, optional, SAMPLING_FIELDS } from './request-fields.ts';

const TokenIds = Type.Array(Type.Integer({ minimum: 0 }));

/** As documented; parse-prompts.ts reads it, because a prompt's text needs errors of its own. */
const PromptSchema = Type.Union([Type.String(), Type.Array(Type.String()), TokenIds, Type.Array(TokenIds)], {
  description: 'A text, texts, the token ids of a prompt, or those of several.',
});

export const CompletionRequestSchema = Type.Object({
  prompt: PromptSchema,
  ...SAMPLING_FIELDS,
  echo: nullable(Type.Boolean(), 'The prompt is repeated before the output. Default false.'),
  logprobs: nullable(logprobCount(0), 'Alternatives per token. Default null: no log probabilities.'),
  max_tokens: nullable(Type.Integer(), 'Default 16; null: what the context leaves; 0 only with echo.'),
  n: optional(Type.Integer({ minimum: 1 }), 'Choices per prompt. Default 1.'),
  stream: nullable(Type.Boolean(), 'Server-sent events. Default false.'),
  suffix: nullable(Type.String(), 'Only null: text is not filled in.', true),
  bad_words: nullable(Type.Array(Type.String()), 'Never generated; where the backend can.'),
  add_special_tokens: optional(Type.Boolean(), 'Default true.'),
  prompt_embeds: nullable(Type.Unknown(), 'Only null: prompts are texts or token ids.', true),
});
export type CompletionRequest = Omit<Type.Static<typeof CompletionRequestSchema>, 'prompt'>;

/** The native endpoint: one prompt, streamed unless told otherwise. */
export const GenerateRequestSchema = Type.Object({
  prompt: Type.Union([Type.String(), TokenIds], { description: 'A text, or the token ids of the prompt.' }),
  ...SAMPLING_FIELDS,
  user_id: nullable(Type.String(), 'The same as user.', true),
  echo: nullable(Type.Boolean(), 'The prompt is repeated before the output. Default false.'),
  logprobs: nullable(logprobCount(0), 'Alternatives per token. Default null: no log probabilities.'),
  max_tokens: nullable(Type.Integer(), 'Default 16; null: what the context leaves; 0 only with echo.'),
  n: optional(Type.Integer({ minimum: 1 }), 'Choices. Default 1.'),
  stream: nullable(Type.Boolean(), 'Server-sent events. Default true.'),
  bad_words: nullable(Type.Array(Type.String()), 'Never generated; where the backend can.'),
  add_special_tokens: optional(Type.Boolean(), 'Default true.'),
});
export type GenerateRequest = Omit<Type.Static<typeof GenerateRequestSchema>, 'prompt'>;
