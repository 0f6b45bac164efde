import { Type } from 'typebox';
import { logprobCount, nullable, OpenObject, optional, SAMPLING_FIELDS } from './request-fields.ts';

const ContentPartSchema = Type.Object({
  type: Type.Literal('text'),
  text: nullable(Type.String(), 'The parts are joined by line breaks.', true),
});

/** As documented; parse-messages.ts reads it, because a prompt's text needs errors of its own. */
export const MessageSchema = Type.Object({
  role: Type.String({ description: 'system, developer, user, assistant, tool, or what the template knows.' }),
  content: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.Union([Type.String(), ContentPartSchema])), Type.Null()]),
  ),
  name: Type.Optional(Type.String()),
  tool_calls: Type.Optional(Type.Array(Type.Unknown())),
  tool_call_id: Type.Optional(Type.String()),
  reasoning_content: Type.Optional(Type.String()),
});

const ToolSchema = Type.Object(
  {
    type: optional(Type.Literal('function'), 'function'),
    function: Type.Object(
      {
        name: Type.String({ minLength: 1 }),
        description: nullable(Type.String(), 'For the model.'),
        parameters: nullable(OpenObject, 'JSON schema.'),
      },
      { additionalProperties: true },
    ),
  },
  { additionalProperties: true },
);

const ToolChoiceSchema = Type.Union([
  Type.Literal('none'),
  Type.Literal('auto'),
  Type.Literal('required'),
  Type.Object({
    type: optional(Type.Literal('function'), 'function'),
    function: Type.Object({ name: Type.String() }),
  }),
]);

export const ChatRequestSchema = Type.Object({
  messages: Type.Array(MessageSchema),
  ...SAMPLING_FIELDS,
  logprobs: nullable(Type.Boolean(), 'Log probabilities of the output tokens. Default false.'),
  top_logprobs: nullable(logprobCount(-1), 'Alternatives per token; needs logprobs. Default 0.'),
  max_tokens: nullable(Type.Integer(), 'Old name of max_completion_tokens.'),
  max_completion_tokens: nullable(Type.Integer(), 'Default: what the context leaves.'),
  n: nullable(Type.Integer({ minimum: 1 }), 'Choices. Default 1.'),
  stream: nullable(Type.Boolean(), 'Server-sent events. Default false.'),
  tools: nullable(Type.Array(ToolSchema), 'Given to the template; calls of them where the backend can.'),
  tool_choice: nullable(ToolChoiceSchema, 'Default none, with tools auto.'),
  parallel_tool_calls: nullable(Type.Boolean(), 'Taken for compatibility; has no effect.'),
  reasoning_effort: nullable(
    Type.Union([Type.Literal('low'), Type.Literal('medium'), Type.Literal('high')]),
    'A variable of the template.',
  ),
  include_reasoning: optional(Type.Boolean(), 'Taken for compatibility; has no effect.'),
  bad_words: optional(Type.Array(Type.String()), 'Never generated; where the backend can.'),
  echo: optional(Type.Boolean(), "The last message is repeated, if it is of the answer's role. Default false."),
  add_generation_prompt: optional(Type.Boolean(), 'The template opens the answer. Default true.'),
  continue_final_message: optional(Type.Boolean(), 'The answer goes on with the last message. Default false.'),
  add_special_tokens: optional(Type.Boolean(), 'On top of what the template adds. Default false.'),
  documents: nullable(Type.Array(Type.Record(Type.String(), Type.String())), 'A variable of the template.', true),
  chat_template: nullable(Type.String(), "Only null: templates are the server's."),
  chat_template_kwargs: nullable(OpenObject, 'Variables of the template.'),
  mm_processor_kwargs: nullable(OpenObject, 'Taken for compatibility; has no effect.'),
});
export type ChatRequest = Omit<Type.Static<typeof ChatRequestSchema>, 'messages'>;
