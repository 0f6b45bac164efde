import { z } from 'zod';
import type { Target } from '../simulation/targets.ts';
import { duration, durationNs } from './units.ts';

const statistic = z
  .enum(['mean', 'p50', 'p90', 'p95', 'p99', 'max'])
  .describe('Which value of the distribution over the whole run');

const latencyTarget = z
  .strictObject({
    metric: z
      .enum(['ttft', 'tpot', 'itl', 'e2e', 'queue', 'scheduler_iteration', 'scheduler_allocation'])
      .describe(
        'Time to first token, time per output token, inter-token latency, whole request, time in the queue; work of the scheduler per step and of one allocation',
      ),
    statistic,
    below: duration('Met when the value lies below'),
  })
  .describe('A latency');

const bounds = (value: z.ZodNumber) => ({
  above: value.describe('Met when the value lies above').optional(),
  below: value.describe('Met when the value lies below').optional(),
});

const ratioTarget = z
  .strictObject({
    metric: z
      .enum([
        'kv_utilization_mean',
        'kv_utilization_peak',
        'prefix_hit_ratio',
        'speculation_acceptance_ratio',
        'gpu_compute_utilization',
        'error_ratio',
        'completed_ratio',
      ])
      .describe('A share of the run, 0 to 1'),
    ...bounds(z.number().min(0).max(1)),
  })
  .refine((target) => target.above !== undefined || target.below !== undefined, { error: boundMissing() })
  .describe('A ratio');

const rateTarget = z
  .strictObject({
    metric: z
      .enum([
        'requests_per_second',
        'output_tokens_per_second',
        'total_tokens_per_second',
        'preemptions_per_minute',
        'evictions_per_minute',
      ])
      .describe('A rate over the run, in simulated time'),
    ...bounds(z.number().min(0)),
  })
  .refine((target) => target.above !== undefined || target.below !== undefined, { error: boundMissing() })
  .describe('A rate');

/** What a run has to reach. The result says pass or fail for each. */
export const targetSchema = z.discriminatedUnion('metric', [latencyTarget, ratioTarget, rateTarget]);

export type TargetSection = z.output<typeof targetSchema>;

/** A target with its bounds as numbers: seconds, ratios, or per second and minute. */
export function targetOf(section: TargetSection): Target {
  if ('statistic' in section) {
    return Object.freeze({
      metric: section.metric,
      statistic: section.statistic,
      above: null,
      below: durationNs(section.below) / 1e9,
    });
  }
  return Object.freeze({
    metric: section.metric,
    statistic: null,
    above: section.above ?? null,
    below: section.below ?? null,
  });
}

function boundMissing(): string {
  return 'a target needs above, below or both';
}
