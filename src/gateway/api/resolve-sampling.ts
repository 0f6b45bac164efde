import type { SamplingParameters } from '../../core/request.ts';
import { badRequest, notFoundModel, unsupportedParameter } from './api-error.ts';
import type { CompletionRequest } from './completion-schema.ts';
import type { ServedLimits } from './generation-call.ts';
import { notAllowed } from './lax-reader.ts';

/** Fields that all generation endpoints share, as read; null and absent mean the same. */
export type SamplingFields = Omit<CompletionRequest, 'echo' | 'logprobs' | 'max_tokens' | 'stream' | 'n'> & {
  readonly n?: number | null;
};

/** vLLM raises temperatures in (0, 0.01) to 0.01, where float32 logits would overflow (`vllm/sampling_params.py`, _MAX_TEMP). */
const TEMPERATURE_MIN = 0.01;

/**
 * The sampling parameters that vLLM 0.15.1 resolves the same fields to (`SamplingParams.__post_init__`, `_verify_args`).
 * @param logprobs alternatives per output token, or null
 * @param promptLogprobs alternatives per prompt token, or null
 * @throws ApiError 400
 */
export function resolveSampling(
  fields: SamplingFields,
  logprobs: number | null,
  promptLogprobs: number | null,
  limits: ServedLimits,
): SamplingParameters {
  const temperature = fields.temperature ?? 1;
  const isGreedy = temperature === 0;
  const topP = fields.top_p ?? 1;
  if (topP <= 0 || topP > 1) throw notAllowed('top_p', topP, 'a number in (0, 1]');
  const repetitionPenalty = fields.repetition_penalty ?? 1;
  if (repetitionPenalty <= 0) throw notAllowed('repetition_penalty', repetitionPenalty, 'a finite number above 0');
  const n = fields.n ?? 1;
  if (n > limits.nMax) throw notAllowed('n', n, `an integer in [1, ${limits.nMax}]`);
  if (n > 1 && isGreedy) throw notAllowed('n', n, '1 with temperature 0: all choices would be the same');
  return {
    temperature: isGreedy ? 0 : Math.max(temperature, TEMPERATURE_MIN),
    topP: isGreedy ? 1 : topP,
    topK: isGreedy ? 0 : (fields.top_k ?? 0),
    minP: isGreedy ? 0 : (fields.min_p ?? 0),
    presencePenalty: fields.presence_penalty ?? 0,
    frequencyPenalty: fields.frequency_penalty ?? 0,
    repetitionPenalty,
    logitBias: resolveLogitBias(fields.logit_bias ?? null, limits),
    seed: (fields.seed ?? -1) === -1 ? null : fields.seed!,
    stopTokenIds: resolveStopTokenIds(fields.stop_token_ids ?? [], limits),
    outputTokensMin: fields.min_tokens ?? 0,
    ignoreEos: fields.ignore_eos ?? false,
    logprobs: withinLogprobs('logprobs', logprobs, limits),
    promptLogprobs: withinLogprobs('prompt_logprobs', promptLogprobs, limits),
    n,
  };
}

/** The stop strings: one, several or none. @throws ApiError 400 */
export function resolveStop(
  stop: string | readonly string[] | null | undefined,
  limits: ServedLimits,
): readonly string[] {
  const list = stop === null || stop === undefined ? [] : typeof stop === 'string' ? [stop] : stop;
  if (list.length > limits.stopMax) throw notAllowed('stop', list, `at most ${limits.stopMax} strings`);
  for (const text of list) {
    if (text === '') throw badRequest('stop', 'stop: has an empty string; allowed: non-empty strings', 'invalid_value');
    if (text.length > limits.stopCharactersMax) {
      const allowed = `at most ${limits.stopCharactersMax} characters each`;
      throw badRequest('stop', `stop: has a string of ${text.length} characters; allowed: ${allowed}`, 'invalid_value');
    }
  }
  return list;
}

/** The model as asked for; empty and null are whatever is served. @throws ApiError 404 */
export function resolveModel(model: string | null | undefined, limits: ServedLimits): string | null {
  if (model === null || model === undefined || model === '') return null;
  if (!limits.modelNames.includes(model)) throw notFoundModel(model, limits.modelNames);
  return model;
}

/** Token ids in the vocabulary; null = all. @throws ApiError 400 */
export function resolveAllowedTokenIds(
  ids: readonly number[] | null | undefined,
  limits: ServedLimits,
): Int32Array | null {
  if (ids === null || ids === undefined) return null;
  if (!limits.capabilities.allowedTokenIds) throw unsupportedByBackend('allowed_token_ids');
  if (ids.length === 0) throw notAllowed('allowed_token_ids', ids, 'null, or at least one token id');
  for (const [index, id] of ids.entries()) requireInVocabulary(`allowed_token_ids.${index}`, id, limits);
  return Int32Array.from(ids);
}

/** Words that are never generated. @throws ApiError 400 */
export function resolveBadWords(words: readonly string[] | null | undefined, limits: ServedLimits): readonly string[] {
  const list = words ?? [];
  if (list.length > 0 && !limits.capabilities.badWords) throw unsupportedByBackend('bad_words');
  if (list.includes('')) {
    throw badRequest('bad_words', 'bad_words: has an empty string; allowed: non-empty strings', 'invalid_value');
  }
  return list;
}

/** 400: the backend that serves here cannot do what the parameter asks for. */
export function unsupportedByBackend(param: string) {
  return unsupportedParameter(param, `${param}: the backend that serves here cannot honour it; leave it out`);
}

/** @throws ApiError 400 unless `id` is a token of the vocabulary */
function requireInVocabulary(param: string, id: number, limits: ServedLimits): void {
  if (id < 0 || id >= limits.vocabularySize) {
    throw notAllowed(param, id, `a token id in [0, ${limits.vocabularySize - 1}]`);
  }
}

function resolveLogitBias(
  bias: Readonly<Record<string, number>> | null,
  limits: ServedLimits,
): ReadonlyMap<number, number> | null {
  if (bias === null) return null;
  const keys = Object.keys(bias);
  if (keys.length > limits.logitBiasMax) {
    const message = `logit_bias: has ${keys.length} entries; allowed: at most ${limits.logitBiasMax}`;
    throw badRequest('logit_bias', message, 'invalid_value');
  }
  return new Map(
    keys.map((key) => {
      if (!/^\s*[+-]?\d+(_\d+)*\s*$/.test(key)) throw notAllowed('logit_bias', key, 'token ids as keys');
      const id = Number(key.replaceAll('_', ''));
      requireInVocabulary('logit_bias', id, limits);
      return [id, Math.min(100, Math.max(-100, bias[key]!))] as const;
    }),
  );
}

function resolveStopTokenIds(ids: readonly number[], limits: ServedLimits): readonly number[] {
  if (ids.length > limits.stopTokenIdsMax) {
    throw notAllowed('stop_token_ids', ids, `at most ${limits.stopTokenIdsMax} token ids`);
  }
  return ids;
}

function withinLogprobs(param: string, count: number | null, limits: ServedLimits): number | null {
  if (count === null) return null;
  const alternatives = count === -1 ? limits.vocabularySize : count;
  if (alternatives > limits.logprobsMax) {
    const wish = count === -1 ? `-1 (the whole vocabulary, ${limits.vocabularySize})` : String(count);
    throw badRequest(param, `${param}: got ${wish}; allowed: at most ${limits.logprobsMax}`, 'invalid_value');
  }
  return alternatives;
}
