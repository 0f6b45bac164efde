import { Type } from 'typebox';
import { ChatRequestSchema, MessageSchema } from './chat-schema.ts';
import { nullable, optional } from './request-fields.ts';

const Model = nullable(Type.String(), 'A served name; null or empty: the one that is served.');
const { properties: chat } = ChatRequestSchema;

/** vLLM's shape: a prompt or messages (`vllm/entrypoints/serve/tokenize/protocol.py`). */
export const TokenizeRequestSchema = Type.Object({
  model: Model,
  prompt: Type.Optional(Type.String({ description: 'A text; or give messages.' })),
  messages: Type.Optional(Type.Array(MessageSchema, { description: 'A chat; or give prompt.' })),
  add_special_tokens: optional(Type.Boolean(), 'Default true for a prompt, false for messages.'),
  return_token_strs: nullable(Type.Boolean(), "The tokens' texts beside their ids. Default false."),
  add_generation_prompt: chat.add_generation_prompt,
  continue_final_message: chat.continue_final_message,
  chat_template: chat.chat_template,
  chat_template_kwargs: chat.chat_template_kwargs,
  tools: chat.tools,
});

/** llama.cpp's shape (`tools/server/README.md`). */
export const TokenizeContentSchema = Type.Object({
  content: Type.String({ description: 'A text.' }),
  add_special: optional(Type.Boolean(), 'Special tokens around the text. Default false.'),
  parse_special: optional(
    Type.Boolean(),
    'Special tokens in the text are read as such. Default true; false is not served.',
  ),
  with_pieces: optional(Type.Boolean(), "The tokens' texts beside their ids. Default false."),
});

/** Both shapes of the answer's opposite: vLLM's and llama.cpp's bodies are the same here. */
export const DetokenizeRequestSchema = Type.Object({
  model: Model,
  tokens: Type.Array(Type.Integer({ minimum: 0 }), { description: 'Token ids.' }),
});
