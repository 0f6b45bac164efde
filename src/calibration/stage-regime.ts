import { capacityEstimate, type PredictionRegime, type TimingModel } from '../backends/simulated/index.ts';
import type { ServingTarget } from './serving-run.ts';

/** What the error of a stage's prediction depends on. `timing`: steps without stalls. `coldRequests` of `requests` have first-time prompts. */
export function stageRegime(
  target: ServingTarget,
  timing: TimingModel,
  ratePerSecond: number,
  requests: number,
  coldRequests: number,
): PredictionRegime {
  const { run, model, memory, operators, blockSize, promptTokens } = target;
  const cold = coldRequests / requests;
  const limits = {
    sequencesMax: run.sequencesMax,
    tokensPerStepMax: run.tokensPerStepMax,
    blocksTotal: memory.blocksTotal,
    blockSize,
  };
  // A prompt that was sent before leaves half a block to compute, on average.
  const computedTokens = cold * promptTokens + (1 - cold) * (blockSize / 2);
  const capacity = capacityEstimate(timing, limits, { promptTokens, computedTokens, outputTokens: run.outputTokens });
  return {
    load: capacity === null ? 0.5 : Math.round((ratePerSecond / capacity.requestsPerSecond) * 1e3) / 1e3,
    cold: coldRequests > 0,
    tensorParallel: run.tensorParallel,
    family: model.experts === null ? 'dense' : 'experts',
    weightFormat: model.weightFormat,
    extrapolations: operators.extrapolations.length,
  };
}
