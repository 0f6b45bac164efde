import type { CapacitySummary } from '../capacity-summary.ts';
import { numberText, percentText } from './quantities.ts';

/** What runs out first, for the reader of a result. */
export const LIMITS_IN_WORDS = {
  'device-time': 'the device is busy with what it has: a larger batch would serve no more',
  sequences: 'max_num_seqs runs out first',
  'kv-blocks': 'KV blocks run out first',
  'token-budget': 'the token budget of a step (max_num_batched_tokens) runs out first',
} as const;

/** How far a run is from saturation, in one or two sentences. */
export function capacityText(capacity: CapacitySummary): string {
  const { sustainableRequestsPerSecond: sustainable, load, binding } = capacity;
  const arriving = `${numberText(capacity.requestsPerSecond)} requests/s arrive`;
  const limit = sustainable === null ? '' : `an estimated ${numberText(sustainable)}/s that the configuration sustains`;
  if (capacity.saturated === true) {
    const growth =
      capacity.queueGrowthPerSecond === null || capacity.queueGrowthPerSecond <= 0
        ? 'the queue is full and turns requests away'
        : `the queue gains ${numberText(capacity.queueGrowthPerSecond)} of them each second`;
    const against = sustainable === null ? '' : `, against ${limit}`;
    return `Saturated: ${arriving}${against}; ${growth}. Latencies grow as long as the load lasts: none is given.`;
  }
  if (sustainable === null) return `${arriving}; what the configuration sustains was not estimated.`;
  const short = capacity.saturated === null ? ' The load was too short to see whether its queue grows.' : '';
  return `${arriving}, ${percentText(load)} of ${limit}; ${LIMITS_IN_WORDS[binding!]}.${short}`;
}

/** Means of what can run out. */
export function utilizationText({ utilization }: CapacitySummary): string {
  const { sequences, kvBlocks, tokenBudget } = utilization;
  return `sequences ${percentText(sequences)}, KV blocks ${percentText(kvBlocks)}, token budget ${percentText(tokenBudget)}`;
}
