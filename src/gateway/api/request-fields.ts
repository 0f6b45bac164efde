import { type TSchema, Type } from 'typebox';

/** A field that may be left out or be null, which mean the same. */
export function nullable<T extends TSchema>(schema: T, description: string, isPrivate = false) {
  const options = isPrivate ? { description, 'x-private': true } : { description };
  return Type.Optional(Type.Union([schema, Type.Null()], options));
}

/** A field that may be left out, but not be null. */
export function optional<T extends TSchema>(schema: T, description: string) {
  return Type.Optional(Type.Unsafe<Type.Static<T>>({ ...schema, description }));
}

/** Alternatives per token: vLLM compares the raw value with 0 before it converts, so that "5" is none. */
export function logprobCount(minimum: -1 | 0) {
  return Type.Integer({ minimum, 'x-no-text': true });
}

/** Any JSON object, kept as it is. */
export const OpenObject = Type.Unsafe<Readonly<Record<string, unknown>>>({
  type: 'object',
  additionalProperties: true,
});

/** -2^63, and the largest double below 2^63. */
const INT64_MIN = -(2 ** 63);
const INT64_MAX = 2 ** 63 - 1024;

const StopSchema = Type.Union([Type.String(), Type.Array(Type.String()), Type.Null()], {
  description:
    'Up to so many strings that end the output; they are never part of it, unless include_stop_str_in_output.',
});

const StreamOptionsSchema = Type.Object({
  include_usage: nullable(
    Type.Boolean(),
    'A last chunk with the usage and no choices; true if stream_options is given.',
  ),
  continuous_usage_stats: nullable(Type.Boolean(), 'The usage so far on every chunk; needs include_usage.'),
});

const StructuredOutputsSchema = Type.Unsafe<Readonly<Record<string, unknown>>>(
  Type.Object(
    {
      json: nullable(Type.Union([Type.String(), OpenObject]), 'A JSON schema.'),
      regex: nullable(Type.String(), 'A regular expression.'),
      choice: nullable(Type.Array(Type.String()), 'One of these.'),
      grammar: nullable(Type.String(), 'A grammar.'),
      json_object: nullable(Type.Boolean(), 'Any JSON object.'),
      structural_tag: nullable(Type.String(), 'Tags with schemas.'),
    },
    { additionalProperties: true },
  ),
);

const label = Type.String({ minLength: 1, maxLength: 256 });

/** What every generation endpoint takes, with the nullability of vLLM 0.15.1 (`vllm/entrypoints/openai/*\/protocol.py`). */
export const SAMPLING_FIELDS = {
  model: nullable(Type.String(), 'A served name (GET /v1/models); null or empty: the one that is served.'),
  frequency_penalty: nullable(Type.Number({ minimum: -2, maximum: 2 }), 'Default 0.'),
  presence_penalty: nullable(Type.Number({ minimum: -2, maximum: 2 }), 'Default 0.'),
  repetition_penalty: nullable(Type.Number(), 'Above 0; default 1 = off.'),
  temperature: nullable(Type.Number({ minimum: 0 }), 'Default 1; 0 = greedy; between 0 and 0.01 is raised to 0.01.'),
  top_p: nullable(Type.Number(), 'In (0, 1]; default 1.'),
  top_k: nullable(Type.Integer({ minimum: -1 }), 'Default 0 = off, as is -1.'),
  min_p: nullable(Type.Number({ minimum: 0, maximum: 1 }), 'Default 0.'),
  logit_bias: nullable(
    Type.Record(Type.String(), Type.Number()),
    'Token id -> what is added to its logit; clamped to [-100, 100].',
  ),
  seed: nullable(
    Type.Integer({ minimum: INT64_MIN, maximum: INT64_MAX }),
    'Same seed, same output; null or -1: chosen by the server. Held as a double: beyond 2^53 neighbours share a seed.',
  ),
  stop: Type.Optional(StopSchema),
  stop_token_ids: nullable(Type.Array(Type.Integer()), 'Token ids that end the output as stop.'),
  include_stop_str_in_output: optional(Type.Boolean(), 'The stop string stays at the end. Default false.'),
  ignore_eos: optional(Type.Boolean(), 'The end of sequence does not end the output. Default false.'),
  min_tokens: optional(Type.Integer({ minimum: 0 }), 'Output tokens before which nothing ends it. Default 0.'),
  prompt_logprobs: nullable(
    logprobCount(-1),
    'Alternatives per prompt token; -1 = the whole vocabulary. Not with stream.',
  ),
  allowed_token_ids: nullable(Type.Array(Type.Integer()), 'Only these tokens may be generated; where the backend can.'),
  skip_special_tokens: optional(Type.Boolean(), 'Special tokens are left out of the text. Default true.'),
  spaces_between_special_tokens: optional(Type.Boolean(), 'Taken for compatibility; has no effect.'),
  truncate_prompt_tokens: nullable(
    Type.Integer({ minimum: -1 }),
    'Keep the last so many tokens of the prompt; -1 = as many as the context holds.',
  ),
  use_beam_search: optional(Type.Boolean(), 'Only false: there is no beam search.'),
  length_penalty: optional(Type.Number(), 'Of beam search; taken for compatibility.'),
  stream_options: nullable(StreamOptionsSchema, 'Only with stream.'),
  priority: optional(Type.Integer(), 'Smaller is more urgent. Default 0.'),
  cache_salt: nullable(
    Type.String({ minLength: 1 }),
    'Prompts share cached prefixes only with prompts of the same salt.',
    true,
  ),
  session: nullable(label, 'Names the conversation that the request belongs to, for routing.', true),
  slo_class: nullable(label, 'Names the class of service whose objectives the request is held to.'),
  user: nullable(Type.String(), "The client's name for its user; traces hold a hash of it.", true),
  request_id: optional(Type.String(), 'Id of the request in traces and logs.'),
  return_token_ids: nullable(Type.Boolean(), 'Token ids beside the text.'),
  return_tokens_as_token_ids: nullable(Type.Boolean(), 'Tokens in logprobs as "token_id:<id>".'),
  response_format: nullable(
    Type.Unsafe<Readonly<Record<string, unknown>>>(
      Type.Object(
        {
          type: Type.Union([
            Type.Literal('text'),
            Type.Literal('json_object'),
            Type.Literal('json_schema'),
            Type.Literal('structural_tag'),
          ]),
        },
        { additionalProperties: true },
      ),
    ),
    'text, or json_object, json_schema, structural_tag where the backend can.',
  ),
  structured_outputs: nullable(
    StructuredOutputsSchema,
    'Exactly one constraint on the output (vLLM), where the backend can.',
  ),
  guided_json: nullable(Type.Unknown(), 'Old name of a constraint; where the backend can.'),
  guided_regex: nullable(Type.Unknown(), 'Old name of a constraint; where the backend can.'),
  guided_choice: nullable(Type.Unknown(), 'Old name of a constraint; where the backend can.'),
  guided_grammar: nullable(Type.Unknown(), 'Old name of a constraint; where the backend can.'),
  logits_processors: nullable(Type.Unknown(), 'Only null: there are none.'),
  kv_transfer_params: nullable(OpenObject, 'Only null: caches are not transferred.'),
  vllm_xargs: nullable(OpenObject, 'Taken for compatibility; has no effect.'),
} as const;
