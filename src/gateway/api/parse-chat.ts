import { badRequest, unsupportedParameter } from './api-error.ts';
import { type ChatRequest, ChatRequestSchema } from './chat-schema.ts';
import type { ChatPromptOptions, GenerationCall, ServedLimits } from './generation-call.ts';
import { parseMessages } from './parse-messages.ts';
import { bodyObject, readBody } from './request-body.ts';
import {
  refuseStreamedPromptLogprobs,
  requireFewSequences,
  resolveCommon,
  resolveOutputTokensMax,
} from './resolve-common.ts';
import { resolveToolChoice } from './resolve-format.ts';
import { resolveSampling } from './resolve-sampling.ts';

/**
 * A body of POST /v1/chat/completions, checked and resolved as vLLM 0.15.1 does.
 * @param body parsed JSON
 * @throws ApiError 400 with the field at fault, 404 for a model that is not served
 */
export function parseChat(body: unknown, limits: ServedLimits): GenerationCall {
  const { fields, unknownFields } = readBody(ChatRequestSchema, body, ['messages']);
  const messages = parseMessages(bodyObject(body)['messages'], limits);
  const stream = fields.stream ?? false;
  refuseStreamedPromptLogprobs(fields.prompt_logprobs, stream);
  const echo = fields.echo ?? false;
  const promptLogprobs = fields.prompt_logprobs ?? (echo ? (fields.top_logprobs ?? 0) : null);
  const sampling = resolveSampling(fields, chatLogprobs(fields), promptLogprobs, limits);
  requireFewSequences(1, sampling.n, limits);
  return {
    kind: 'chat',
    prompts: [{ kind: 'chat', messages, options: chatOptions(fields) }],
    sampling,
    outputTokensMax: chatOutputTokensMax(fields, sampling.outputTokensMin),
    stream,
    echo,
    logprobs: sampling.logprobs,
    addSpecialTokens: fields.add_special_tokens ?? false,
    toolChoice: resolveToolChoice(fields, limits),
    ...resolveCommon(fields, stream, unknownFields, limits),
  };
}

/** Of the two names for the output's length the new one wins, but 0 there counts as not given, as in vLLM. */
function chatOutputTokensMax(fields: ChatRequest, outputTokensMin: number): number | null {
  const completion = fields.max_completion_tokens ?? null;
  if (completion !== null && completion !== 0) {
    return resolveOutputTokensMax('max_completion_tokens', completion, outputTokensMin, false);
  }
  return resolveOutputTokensMax('max_tokens', fields.max_tokens ?? null, outputTokensMin, false);
}

function chatLogprobs(fields: ChatRequest): number | null {
  const top = fields.top_logprobs ?? 0;
  if (fields.logprobs === true) return top;
  if (top !== 0)
    throw badRequest('top_logprobs', `top_logprobs: got ${top}; allowed only with logprobs true`, 'invalid_value');
  return null;
}

/** What templates get from the server; a request may not set it by another name. */
const RESERVED_VARIABLES = ['messages', 'tools', 'documents', 'add_generation_prompt', 'continue_final_message'];

export function chatOptions(
  fields: Pick<
    ChatRequest,
    | 'add_generation_prompt'
    | 'continue_final_message'
    | 'chat_template'
    | 'chat_template_kwargs'
    | 'reasoning_effort'
    | 'tools'
    | 'documents'
  >,
): ChatPromptOptions {
  if ((fields.chat_template ?? null) !== null) {
    throw unsupportedParameter(
      'chat_template',
      "chat_template: not taken from requests; allowed: null, the server's is used",
    );
  }
  const continueFinalMessage = fields.continue_final_message ?? false;
  if (continueFinalMessage && fields.add_generation_prompt === true) {
    const message = 'continue_final_message: got true; allowed: false with add_generation_prompt true';
    throw badRequest('continue_final_message', message, 'invalid_value');
  }
  const variables = Object.entries(fields.chat_template_kwargs ?? {});
  const reserved = variables.find(([name]) => RESERVED_VARIABLES.includes(name) || name.startsWith('__'));
  if (reserved !== undefined) {
    const message = 'chat_template_kwargs: sets a variable of the server; allowed: other names';
    throw badRequest('chat_template_kwargs', message, 'invalid_value');
  }
  const effort = fields.reasoning_effort ?? null;
  if (effort !== null) variables.push(['reasoning_effort', effort]);
  return {
    addGenerationPrompt: fields.add_generation_prompt ?? !continueFinalMessage,
    continueFinalMessage,
    tools: fields.tools ?? null,
    documents: fields.documents ?? null,
    templateVariables: Object.fromEntries(variables),
  };
}
