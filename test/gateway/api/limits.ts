import type { BackendCapabilities, ServedLimits } from '../../../src/gateway/api/index.ts';

/** A backend that honours everything that can be asked for. */
export const ABLE: BackendCapabilities = { responseFormat: true, tools: true, allowedTokenIds: true, badWords: true };

/** The simulated backend: text of the asked length and nothing else. */
const SIMULATED: BackendCapabilities = {
  responseFormat: false,
  tools: false,
  allowedTokenIds: false,
  badWords: false,
};

export function limitsOf(over: Partial<ServedLimits> = {}): ServedLimits {
  return {
    modelNames: ['m', 'alias'],
    modelLenMax: 1024,
    vocabularySize: 32_000,
    logprobsMax: 20,
    nMax: 128,
    promptsMax: 256,
    sequencesMax: 256,
    stopMax: 64,
    stopCharactersMax: 1024,
    stopTokenIdsMax: 1024,
    logitBiasMax: 1024,
    messagesMax: 4096,
    keysMax: 32_768,
    numbersMax: 524_288,
    answerBytesMax: 1 << 27,
    promptLogprobsMax: 1 << 20,
    capabilities: SIMULATED,
    ...over,
  };
}
