import { badRequest } from './api-error.ts';
import type { GenerationCall, ServedLimits } from './generation-call.ts';
import { notAllowed } from './lax-reader.ts';

/** A prompt that fits, and how much may be generated after it. */
export interface CheckedLength {
  /** The prompt, or its last tokens where the call asks for truncation. */
  readonly ids: Int32Array;
  /** What was asked for, or what the context leaves; 0 only for an echo without output. */
  readonly outputTokensMax: number;
}

/**
 * Holds one prompt of a call against the context.
 * @throws ApiError 400: an empty prompt; prompt and output longer than the context (context_length_exceeded: the wording
 *   begins as OpenAI's, which proxies look for); fewer tokens left than min_tokens
 */
export function checkLength(prompt: Int32Array, call: GenerationCall, limits: ServedLimits): CheckedLength {
  const param = call.kind === 'chat' ? 'messages' : 'prompt';
  if (prompt.length === 0) throw badRequest(param, `${param}: has no tokens; allowed: at least one`, 'empty_prompt');
  const ids = truncated(prompt, call, limits);
  const left = limits.modelLenMax - ids.length;
  const asked = call.outputTokensMax;
  const wanted = asked ?? 1;
  if (left < wanted) {
    const output = asked === null ? 'at least 1 for the output' : `${asked} for the output`;
    throw badRequest(
      param,
      `This model's maximum context length is ${limits.modelLenMax} tokens. However, you requested ` +
        `${ids.length + wanted} tokens (${ids.length} in the ${param}, ${output}). Please shorten either.`,
      'context_length_exceeded',
    );
  }
  const outputTokensMax = asked ?? left;
  const { outputTokensMin } = call.sampling;
  if (outputTokensMin > outputTokensMax) {
    throw notAllowed('min_tokens', outputTokensMin, `at most the ${outputTokensMax} that the context leaves`);
  }
  return { ids, outputTokensMax };
}

/** The last tokens of a prompt; at least one, since a prompt needs one. */
function truncated(prompt: Int32Array, call: GenerationCall, limits: ServedLimits): Int32Array {
  const asked = call.truncatePromptTokens;
  if (asked === null) return prompt;
  const kept = Math.max(1, asked === -1 ? limits.modelLenMax - (call.outputTokensMax ?? 1) : asked);
  return kept >= prompt.length ? prompt : prompt.subarray(prompt.length - kept);
}
