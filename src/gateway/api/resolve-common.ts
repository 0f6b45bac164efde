import { labelNumber } from '../../core/request.ts';
import { badRequest, unsupportedParameter } from './api-error.ts';
import type { CompletionRequest } from './completion-schema.ts';
import type { GenerationCall, ServedLimits } from './generation-call.ts';
import { notAllowed } from './lax-reader.ts';
import { resolveFormat } from './resolve-format.ts';
import {
  resolveAllowedTokenIds,
  resolveBadWords,
  resolveModel,
  resolveStop,
  type SamplingFields,
} from './resolve-sampling.ts';

/** The parts of a call that all endpoints resolve alike. */
export type CommonCall = Omit<
  GenerationCall,
  | 'kind'
  | 'prompts'
  | 'sampling'
  | 'outputTokensMax'
  | 'stream'
  | 'echo'
  | 'logprobs'
  | 'addSpecialTokens'
  | 'toolChoice'
>;

/**
 * @param unknownFields names of the body that the endpoint does not have
 * @throws ApiError 400, or 404 for an unknown model
 */
export function resolveCommon(
  fields: Omit<SamplingFields, 'suffix' | 'prompt_embeds' | 'add_special_tokens'>,
  stream: boolean,
  unknownFields: readonly string[],
  limits: ServedLimits,
): CommonCall {
  refuseUnserved(fields);
  const options = fields.stream_options ?? null;
  if (options !== null && !stream && Object.keys(options).length > 0) {
    throw badRequest('stream_options', 'stream_options: only with stream true', 'invalid_value');
  }
  // A given stream_options asks for usage unless it says otherwise: `StreamOptions.include_usage` is true by default in vLLM.
  const includeUsage =
    stream && options !== null && (options.include_usage === undefined || options.include_usage === true);
  return {
    model: resolveModel(fields.model, limits),
    stop: resolveStop(fields.stop, limits),
    includeStop: fields.include_stop_str_in_output ?? false,
    includeUsage,
    continuousUsage: includeUsage && options?.continuous_usage_stats === true,
    skipSpecialTokens: fields.skip_special_tokens ?? true,
    returnTokenIds: fields.return_token_ids ?? false,
    tokensAsIds: fields.return_tokens_as_token_ids ?? false,
    truncatePromptTokens: fields.truncate_prompt_tokens ?? null,
    allowedTokenIds: resolveAllowedTokenIds(fields.allowed_token_ids, limits),
    badWords: resolveBadWords(fields.bad_words, limits),
    outputFormat: resolveFormat(fields, limits),
    requestFields: {
      priority: fields.priority ?? 0,
      session: labelOf(fields.session),
      sloClass: labelOf(fields.slo_class),
    },
    cacheSalt: fields.cache_salt ?? null,
    user: fields.user ?? null,
    requestId: fields.request_id ?? null,
    unknownFields,
  };
}

function labelOf(name: string | null | undefined): number {
  return name === null || name === undefined ? 0 : labelNumber(name);
}

/** Prompt logprobs come before the first token: vLLM refuses them in a stream, and so do clients. @throws ApiError 400 */
export function refuseStreamedPromptLogprobs(promptLogprobs: number | null | undefined, stream: boolean): void {
  if (stream && promptLogprobs !== null && promptLogprobs !== undefined && promptLogprobs !== 0) {
    throw notAllowed('prompt_logprobs', promptLogprobs, 'null or 0 with stream true');
  }
}

/** Prompts * n sequences at most. @throws ApiError 400 */
export function requireFewSequences(prompts: number, n: number, limits: ServedLimits): void {
  if (prompts * n <= limits.sequencesMax) return;
  const message = `n: ${prompts} prompts with ${n} choices each; allowed: at most ${limits.sequencesMax} in one request`;
  throw badRequest('n', message, 'invalid_value');
}

/**
 * The output tokens asked for; the context is not known yet.
 * @param param the field that holds it
 * @param zeroAllowed only the prompt is echoed
 * @throws ApiError 400
 */
export function resolveOutputTokensMax(
  param: string,
  tokens: number | null,
  outputTokensMin: number,
  zeroAllowed: boolean,
): number | null {
  if (tokens === null) return null;
  if (tokens < 1 && !(tokens === 0 && zeroAllowed)) {
    throw notAllowed(param, tokens, zeroAllowed ? 'an integer of at least 0' : 'an integer of at least 1');
  }
  if (outputTokensMin > tokens) {
    // An echo without output generates one token in vLLM, which min_tokens 1 is held against.
    throw notAllowed('min_tokens', outputTokensMin, `at most ${param}, which is ${tokens}`);
  }
  return tokens;
}

type Unserved = Pick<CompletionRequest, 'use_beam_search' | 'logits_processors' | 'kv_transfer_params'>;

function refuseUnserved(fields: Unserved): void {
  if (fields.use_beam_search === true) {
    throw unsupportedParameter('use_beam_search', 'use_beam_search: got true; allowed: false, there is no beam search');
  }
  for (const param of ['logits_processors', 'kv_transfer_params'] as const) {
    if ((fields[param] ?? null) !== null) throw unsupportedParameter(param, `${param}: not served; allowed: null`);
  }
}
