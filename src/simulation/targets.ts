import type { RunSummary } from './run-summary.ts';

export type LatencyTargetMetric =
  | 'ttft'
  | 'tpot'
  | 'itl'
  | 'e2e'
  | 'queue'
  | 'scheduler_iteration'
  | 'scheduler_allocation';

export type RatioTargetMetric =
  | 'kv_utilization_mean'
  | 'kv_utilization_peak'
  | 'prefix_hit_ratio'
  | 'speculation_acceptance_ratio'
  | 'gpu_compute_utilization'
  | 'error_ratio'
  | 'completed_ratio';

export type RateTargetMetric =
  | 'requests_per_second'
  | 'output_tokens_per_second'
  | 'total_tokens_per_second'
  | 'preemptions_per_minute'
  | 'evictions_per_minute';

export type TargetMetric = LatencyTargetMetric | RatioTargetMetric | RateTargetMetric;
export type Statistic = 'mean' | 'p50' | 'p90' | 'p95' | 'p99' | 'max';

/** What a run has to reach: bounds are exclusive and in seconds, ratios, or per second and minute. null = no bound. */
export interface Target {
  readonly metric: TargetMetric;
  /** For latencies; null for the others. */
  readonly statistic: Statistic | null;
  readonly above: number | null;
  readonly below: number | null;
}

export interface TargetResult {
  /** `ttft p99`, `prefix_hit_ratio`. */
  readonly name: string;
  /** `< 0.2 s`, `> 0.3`, `> 0.7 and < 0.9`. */
  readonly target: string;
  /** null when the run has no such figure; the target is then not met. */
  readonly actual: number | null;
  readonly pass: boolean;
}

/** Figures that targets may ask for and that the JSON document does not hold. */
export interface TargetFigures {
  readonly schedulerIterationSeconds: Readonly<Record<Statistic, number | null>>;
  readonly schedulerAllocationSeconds: Readonly<Record<Statistic, number | null>>;
  /** Mean of used blocks over simulated time. */
  readonly blocksUsedMean: number;
  readonly proposedDrafts: number;
  readonly acceptedDrafts: number;
  /** Mean over the run, 0 .. 1, from the backend's telemetry; null when nobody sampled it. */
  readonly gpuComputeUtilization: number | null;
}

type Figures = Pick<
  RunSummary,
  'latencySeconds' | 'requests' | 'throughput' | 'kv' | 'preemptions' | 'simulatedSeconds'
>;

/** Says for each target whether the run met it. */
export function evaluateTargets(
  targets: readonly Target[],
  summary: Figures,
  figures: TargetFigures,
): readonly TargetResult[] {
  return targets.map((target) => {
    const actual = actualOf(target, summary, figures);
    return {
      name: target.statistic === null ? target.metric : `${target.metric} ${target.statistic}`,
      target: boundsText(target),
      actual,
      pass: actual !== null && within(target, actual),
    };
  });
}

function within(target: Target, actual: number): boolean {
  return (target.above === null || actual > target.above) && (target.below === null || actual < target.below);
}

function boundsText(target: Target): string {
  const unit = target.statistic !== null ? ' s' : '';
  const parts: string[] = [];
  if (target.above !== null) parts.push(`> ${target.above}${unit}`);
  if (target.below !== null) parts.push(`< ${target.below}${unit}`);
  return parts.join(' and ');
}

function actualOf(target: Target, summary: Figures, figures: TargetFigures): number | null {
  const statistic = target.statistic ?? 'mean';
  const { latencySeconds, requests, throughput, kv, preemptions } = summary;
  const minutes = summary.simulatedSeconds / 60;
  switch (target.metric) {
    case 'ttft':
    case 'tpot':
    case 'itl':
    case 'e2e':
    case 'queue':
      return latencySeconds[target.metric][statistic];
    case 'scheduler_iteration':
      return figures.schedulerIterationSeconds[statistic];
    case 'scheduler_allocation':
      return figures.schedulerAllocationSeconds[statistic];
    case 'kv_utilization_mean':
      return ratio(figures.blocksUsedMean, kv.blocksTotal);
    case 'kv_utilization_peak':
      return ratio(kv.blocksUsedPeak, kv.blocksTotal);
    case 'prefix_hit_ratio':
      return kv.prefixHitRatio;
    case 'speculation_acceptance_ratio':
      return ratio(figures.acceptedDrafts, figures.proposedDrafts);
    case 'gpu_compute_utilization':
      return figures.gpuComputeUtilization;
    case 'error_ratio': // A client's abort and a refusal are not the engine's error; running out of time is.
      return ratio(requests.failed + requests.timedOut, requests.injected);
    case 'completed_ratio':
      return ratio(requests.completed, requests.injected);
    case 'requests_per_second':
      return throughput.requestsPerSecond;
    case 'output_tokens_per_second':
      return throughput.outputTokensPerSecond;
    case 'total_tokens_per_second':
      return throughput.totalTokensPerSecond;
    case 'preemptions_per_minute':
      return ratio(preemptions.memoryPressure + preemptions.priority, minutes);
    case 'evictions_per_minute':
      return ratio(kv.evictions, minutes);
  }
}

function ratio(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}
