import { type TSchema, Type } from 'typebox';
import { FINISH_REASONS } from '../../core/index.ts';

const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Count = Type.Integer({ minimum: 0 });

export const ErrorSchema = Type.Object({
  error: Type.Object({
    message: Type.String({ description: 'Field, value and what is allowed; never text of a prompt.' }),
    type: Type.String(),
    param: orNull(Type.String()),
    code: Type.Union([Type.String(), Type.Integer(), Type.Null()]),
  }),
});

export const UsageSchema = Type.Object({
  prompt_tokens: Count,
  completion_tokens: Count,
  total_tokens: Count,
  prompt_tokens_details: Type.Object({ cached_tokens: Count }),
});

/** A request that was rejected or timed out gets an error instead of an answer. */
const FinishReason = Type.Union(
  FINISH_REASONS.filter((reason) => reason !== 'rejected' && reason !== 'timeout').map((reason) =>
    Type.Literal(reason),
  ),
);
const StopReason = Type.Union([Type.String(), Type.Integer(), Type.Null()], {
  description: 'The stop string or stop token id that ended it; null otherwise.',
});
const Ended = { finish_reason: orNull(FinishReason), stop_reason: Type.Optional(StopReason) };
/** By token id; null for the first token of a prompt. */
const PromptLogprobs = Type.Array(
  orNull(
    Type.Record(
      Type.String(),
      Type.Object({ logprob: Type.Number(), rank: Type.Integer(), decoded_token: Type.String() }),
    ),
  ),
);
const TokenIds = { token_ids: Type.Optional(Type.Array(Type.Integer())) };

const TokenLogprob = {
  token: Type.String(),
  logprob: Type.Number(),
  bytes: orNull(Type.Array(Type.Integer({ minimum: 0, maximum: 255 }))),
};

const ChatTokenLogprobSchema = Type.Object({
  ...TokenLogprob,
  top_logprobs: Type.Array(Type.Object(TokenLogprob)),
});

const ChatLogprobsSchema = Type.Object({
  content: Type.Array(ChatTokenLogprobSchema),
  refusal: orNull(Type.String()),
});

const CompletionLogprobsSchema = Type.Object({
  tokens: Type.Array(Type.String()),
  token_logprobs: Type.Array(orNull(Type.Number())),
  top_logprobs: Type.Array(orNull(Type.Record(Type.String(), Type.Number()))),
  text_offset: Type.Array(Count),
});

const head = <T extends string>(object: T) => ({
  id: Type.String(),
  object: Type.Literal(object),
  created: Count,
  model: Type.String(),
  system_fingerprint: orNull(Type.String()),
});

export const ChatResponseSchema = Type.Object({
  ...head('chat.completion'),
  choices: Type.Array(
    Type.Object({
      index: Count,
      message: Type.Object({
        role: Type.Literal('assistant'),
        content: orNull(Type.String()),
        refusal: Type.Optional(orNull(Type.String())),
      }),
      logprobs: orNull(ChatLogprobsSchema),
      ...Ended,
      ...TokenIds,
    }),
  ),
  usage: UsageSchema,
  prompt_token_ids: Type.Optional(Type.Array(Type.Integer())),
  prompt_logprobs: Type.Optional(PromptLogprobs),
});

/** Order in a stream: per choice a chunk with the role, its content, one with finish_reason; then usage without choices. */
export const ChatChunkSchema = Type.Object({
  ...head('chat.completion.chunk'),
  choices: Type.Array(
    Type.Object({
      index: Count,
      delta: Type.Object({
        role: Type.Optional(Type.Literal('assistant')),
        content: Type.Optional(Type.String()),
      }),
      logprobs: Type.Optional(orNull(ChatLogprobsSchema)),
      ...Ended,
      ...TokenIds,
    }),
  ),
  usage: Type.Optional(orNull(UsageSchema)),
});

const CompletionChoice = Type.Object({
  index: Count,
  text: Type.String(),
  logprobs: Type.Optional(orNull(CompletionLogprobsSchema)),
  ...Ended,
  ...TokenIds,
  prompt_token_ids: Type.Optional(Type.Array(Type.Integer())),
  prompt_logprobs: Type.Optional(PromptLogprobs),
});

export const CompletionResponseSchema = Type.Object({
  ...head('text_completion'),
  choices: Type.Array(CompletionChoice),
  usage: UsageSchema,
});

export const CompletionChunkSchema = Type.Object({
  ...head('text_completion'),
  choices: Type.Array(CompletionChoice),
  usage: Type.Optional(orNull(UsageSchema)),
});

export const GenerateResponseSchema = Type.Object({
  request_id: Type.String(),
  model: Type.String(),
  outputs: Type.Array(
    Type.Object({
      index: Count,
      text: Type.String(),
      logprobs: Type.Optional(Type.Array(orNull(ChatTokenLogprobSchema))),
      finish_reason: FinishReason,
      stop_reason: StopReason,
      ...TokenIds,
    }),
  ),
  usage: UsageSchema,
});

export const GenerateEventSchema = Type.Object({
  request_id: Type.String(),
  index: Type.Optional(Count),
  text: Type.Optional(Type.String()),
  logprob: Type.Optional(ChatTokenLogprobSchema),
  finish_reason: Type.Optional(FinishReason),
  stop_reason: Type.Optional(StopReason),
  usage: Type.Optional(UsageSchema),
  ...TokenIds,
});

export const ModelSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Count,
  owned_by: Type.String(),
  root: Type.String(),
  parent: Type.Null(),
  max_model_len: Type.Integer({ minimum: 1 }),
  permission: Type.Array(Type.Unknown()),
});

export const ModelListSchema = Type.Object({ object: Type.Literal('list'), data: Type.Array(ModelSchema) });

export const TokenizeResponseSchema = Type.Union([
  Type.Object({
    count: Count,
    max_model_len: Type.Integer({ minimum: 1 }),
    tokens: Type.Array(Type.Integer()),
    token_strs: Type.Optional(orNull(Type.Array(Type.String()))),
  }),
  Type.Object({
    tokens: Type.Union([
      Type.Array(Type.Integer()),
      Type.Array(Type.Object({ id: Type.Integer(), piece: Type.String() })),
    ]),
  }),
]);

export const DetokenizeResponseSchema = Type.Union([
  Type.Object({ prompt: Type.String() }),
  Type.Object({ content: Type.String() }),
]);

export const HealthSchema = Type.Object({ status: Type.String(), reason: Type.Optional(Type.String()) });
export const VersionSchema = Type.Object({ version: Type.String() });
export const LoadSchema = Type.Object({
  state: Type.String(),
  live_requests: Count,
  running_sequences: Count,
  waiting_sequences: Count,
  kv_blocks_total: Count,
  kv_blocks_used: Count,
});
