import { unsupportedParameter } from './api-error.ts';
import {
  type CompletionRequest,
  CompletionRequestSchema,
  type GenerateRequest,
  GenerateRequestSchema,
} from './completion-schema.ts';
import type { GenerationCall, PromptInput, ServedLimits } from './generation-call.ts';
import { parsePrompt, parsePrompts } from './parse-prompts.ts';
import { bodyObject, readBody } from './request-body.ts';
import {
  refuseStreamedPromptLogprobs,
  requireFewSequences,
  resolveCommon,
  resolveOutputTokensMax,
} from './resolve-common.ts';
import { resolveSampling } from './resolve-sampling.ts';

/** OpenAI's default length of a completion. */
const OUTPUT_TOKENS_MAX_DEFAULT = 16;

/**
 * A body of POST /v1/completions, checked and resolved as vLLM 0.15.1 does.
 * @param body parsed JSON
 * @throws ApiError 400 with the field at fault, 404 for a model that is not served
 */
export function parseCompletion(body: unknown, limits: ServedLimits): GenerationCall {
  const { fields, unknownFields } = readBody(CompletionRequestSchema, body, ['prompt']);
  const prompts = parsePrompts(bodyObject(body)['prompt'], limits);
  if ((fields.suffix ?? null) !== null) {
    throw unsupportedParameter('suffix', 'suffix: not served; allowed: null, text is not filled in');
  }
  if ((fields.prompt_embeds ?? null) !== null) {
    throw unsupportedParameter('prompt_embeds', 'prompt_embeds: not served; allowed: null, give prompt');
  }
  return textCall('completion', fields, fields.stream ?? false, prompts, unknownFields, limits);
}

/** A body of POST /generate: one prompt; `user_id` is `user`; streams by default. @throws ApiError 400, 404 */
export function parseGenerate(body: unknown, limits: ServedLimits): GenerationCall {
  const { fields, unknownFields } = readBody(GenerateRequestSchema, body, ['prompt']);
  const prompt = parsePrompt(bodyObject(body)['prompt'], limits);
  const named = { ...fields, user: fields.user ?? fields.user_id ?? null };
  return textCall('generate', named, fields.stream ?? true, [prompt], unknownFields, limits);
}

function textCall(
  kind: 'completion' | 'generate',
  fields: CompletionRequest | GenerateRequest,
  stream: boolean,
  prompts: readonly PromptInput[],
  unknownFields: readonly string[],
  limits: ServedLimits,
): GenerationCall {
  refuseStreamedPromptLogprobs(fields.prompt_logprobs, stream);
  const echo = fields.echo ?? false;
  const logprobs = fields.logprobs ?? null;
  const sampling = resolveSampling(fields, logprobs, fields.prompt_logprobs ?? (echo ? logprobs : null), limits);
  requireFewSequences(prompts.length, sampling.n, limits);
  const tokens = fields.max_tokens === undefined ? OUTPUT_TOKENS_MAX_DEFAULT : fields.max_tokens;
  return {
    kind,
    prompts,
    sampling,
    outputTokensMax: resolveOutputTokensMax('max_tokens', tokens, sampling.outputTokensMin, echo),
    stream,
    echo,
    logprobs: sampling.logprobs,
    addSpecialTokens: fields.add_special_tokens ?? true,
    toolChoice: { kind: 'none' },
    ...resolveCommon(fields, stream, unknownFields, limits),
  };
}
