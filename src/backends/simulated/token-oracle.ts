import type { Request } from '../../core/index.ts';

/**
 * Number of the output token (from 1) with which the model ends the sequence by itself; Infinity when it never does. An ignored
 * end-of-sequence token ends nothing; before `outputTokensMin` none can be sampled. Never less than
 * `impliedOutputTokens`.
 */
export function endOutputToken(request: Request): number {
  const implied = request.impliedOutputTokens;
  if (implied === Number.POSITIVE_INFINITY) return implied;
  const sampling = request.sampling;
  if (sampling.ignoreEos) return Number.POSITIVE_INFINITY;
  const least = sampling.outputTokensMin > 1 ? sampling.outputTokensMin : 1;
  return implied > least ? implied : least;
}
