import type { EngineConfig } from './engine-config.ts';
import type { RejectionReason } from './errors.ts';
import type { Request } from './request.ts';

/**
 * Why a request is refused at the door, or null. What can never run is refused at once instead of waiting for ever.
 * `waiting`: sequences that wait already.
 */
export function rejectionOf(
  request: Request,
  config: EngineConfig,
  nowNs: number,
  waiting: number,
): RejectionReason | null {
  const prompt = request.prompt.length;
  if (prompt === 0) return 'prompt-empty';
  if (prompt + 1 > config.modelLenMax) return 'prompt-too-long';
  const { speculation } = config;
  const draftsMax = speculation === null ? 0 : speculation.draftTokensMax + speculation.lookaheadTokens;
  const tokensMax = prompt + Math.min(request.outputTokensMax, config.modelLenMax - prompt);
  if (Math.ceil((tokensMax + draftsMax) / config.blockSize) > config.blocksTotal) return 'never-fits';
  if (!config.chunkedPrefill && tokensMax > config.tokensPerStepMax) return 'prompt-exceeds-step';
  if (request.deadlineNs <= nowNs) return 'deadline-passed';
  if (waiting + request.sampling.n > config.waitingMax) return 'queue-full';
  return null;
}
