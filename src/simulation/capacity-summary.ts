import {
  type BatchLimits,
  type BindingResource,
  capacityEstimate,
  type TimingModel,
} from '../backends/simulated/index.ts';
import { queueTrend } from './queue-trend.ts';
import type { RecordedRun } from './run-recorder.ts';

/** How far a run is from what its configuration sustains. */
export interface CapacitySummary {
  /** More arrives than is served: the queue grows as long as the load lasts. null: the load was too short to tell. */
  readonly saturated: boolean | null;
  /** What arrives, and how many of that the queue gains (null: too short to tell). */
  readonly requestsPerSecond: number;
  readonly queueGrowthPerSecond: number | null;
  /** An estimate from step times; null where drafts or empty outputs leave none. */
  readonly sustainableRequestsPerSecond: number | null;
  /** requestsPerSecond / sustainableRequestsPerSecond. */
  readonly load: number | null;
  /** What runs out first when the rate grows. */
  readonly binding: BindingResource | null;
  /** Means over the run, 0 .. 1. */
  readonly utilization: { readonly sequences: number; readonly kvBlocks: number; readonly tokenBudget: number };
}

/** Share of the requests turned away for a full queue from which a run counts as saturated: its queue cannot grow. */
const TURNED_AWAY_MIN = 0.01;

/** From what a run did and the step times of its engine. `timing` is asked for other loads than the run had: null = it cannot tell. */
export function capacitySummary(run: RecordedRun, limits: BatchLimits, timing: TimingModel | null): CapacitySummary {
  const { requests, tokens, steps } = run;
  const trend = queueTrend(run.timeSeries);
  const seconds = run.simulatedNs / 1e9;
  const arriving = trend?.arrivalsPerSecond ?? (seconds > 0 ? requests.injected / seconds : 0);
  const sequences = Math.max(1, requests.completed);
  const request = {
    promptTokens: tokens.prompt / sequences,
    computedTokens: tokens.scheduledPrompt / sequences,
    outputTokens: tokens.output / sequences,
  };
  const estimate = timing === null ? null : capacityEstimate(timing, limits, request);
  const turnedAway = (run.rejections['queue-full'] ?? 0) / Math.max(1, requests.injected);
  const computed = tokens.scheduledPrompt + tokens.output + tokens.recomputedOutput;
  return {
    saturated: turnedAway > TURNED_AWAY_MIN ? true : (trend?.growing ?? null),
    requestsPerSecond: arriving,
    queueGrowthPerSecond: trend?.growthPerSecond ?? null,
    sustainableRequestsPerSecond: estimate?.requestsPerSecond ?? null,
    load: estimate === null ? null : arriving / estimate.requestsPerSecond,
    binding: estimate?.binding ?? null,
    utilization: {
      sequences: steps === 0 ? 0 : run.sequenceSteps / steps / limits.sequencesMax,
      kvBlocks: run.kv.blocksUsedMean / limits.blocksTotal,
      tokenBudget: steps === 0 ? 0 : computed / steps / limits.tokensPerStepMax,
    },
  };
}
