/** Three drafts a sequence, always: no batch is too large for them, and no acceptance too low. */
export const ALWAYS_DRAFTS = {
  draftTokensMax: 3,
  lookaheadTokens: 0,
  runningOffMin: 64,
  runningOnMax: 64,
  acceptanceOffMax: 0,
  acceptanceOnMin: 0,
  retrySteps: 1,
};
