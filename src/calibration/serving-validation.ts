import type { EngineHostProfile, HostResidual, PredictionRegime } from '../backends/simulated/index.ts';
import { predictionHalfWidth } from '../simulation/prediction-intervals.ts';
import { quantile } from './residuals.ts';
import type { MeasuredRun, MeasuredStage, StageLatencies } from './serving-measurement.ts';
import { comparableStages, type PredictedStage, type ServingTarget } from './serving-run.ts';

export const VALIDATED_METRICS = ['e2eMean', 'e2eP99', 'ttftMean', 'ttftP90', 'ttftP99', 'tpotMean'] as const;
export type ValidatedMetric = (typeof VALIDATED_METRICS)[number];

/** A stage with what was measured and, unless it was skipped or is saturated, how far off the prediction is. */
export interface ValidatedStage {
  readonly run: string;
  readonly model: string;
  readonly hardware: string;
  readonly tensorParallel: number;
  readonly workload: string;
  readonly stage: number;
  readonly ratePerSecond: number;
  /** compared; saturated: the queue grows, no latency is predicted; skipped: see `reason`. */
  readonly status: 'compared' | 'saturated' | 'skipped';
  readonly reason: string | null;
  /** First-time prompts are among its requests. */
  readonly cold: boolean;
  readonly measuredMs: StageLatencies;
  readonly predictedMs: StageLatencies | null;
  /** predicted / measured - 1. */
  readonly errors: Readonly<Record<ValidatedMetric, number>> | null;
  /** What its error depends on; null of a skipped one. */
  readonly regime: PredictionRegime | null;
  /** Half-widths h of the 90 % intervals, prediction / (1 + h) to prediction (1 + h); null where there are too few residuals. */
  readonly halfWidths: Readonly<Record<ValidatedMetric, number | null>> | null;
}

export interface MetricSummary {
  readonly medianAbsError: number;
  readonly meanAbsError: number;
  readonly p90AbsError: number;
  /** Median of the signed errors. */
  readonly bias: number;
  /** Share of the stages that lie inside their 90 % interval; null where no stage has one. */
  readonly coverage: number | null;
  /** Median half-width of these intervals; null likewise. */
  readonly halfWidth: number | null;
  readonly count: number;
}

export type ValidationSummary = Readonly<Record<ValidatedMetric | 'ttftP99Warm' | 'ttftP99Cold', MetricSummary>>;

/** Every stage of a run through the engine. */
export function validateRun(target: ServingTarget, host: EngineHostProfile, seed: number): ValidatedStage[] {
  const predicted = comparableStages(target, host, seed);
  return target.run.stages.map((stage, index) => compared(target.run, stage, predicted[index]!));
}

/** Stages of a run that cannot be predicted. */
export function skippedRun(run: MeasuredRun, reason: string): ValidatedStage[] {
  return run.stages.map((stage) => ({
    ...head(run, stage),
    status: 'skipped',
    reason,
    cold: false,
    regime: null,
    predictedMs: null,
    errors: null,
    halfWidths: null,
  }));
}

/** The stages with 90 % intervals from errors of models other than their own. */
export function withIntervals(stages: readonly ValidatedStage[], heldOut: readonly HostResidual[]): ValidatedStage[] {
  return stages.map((stage) => {
    const { errors, regime, model } = stage;
    if (errors === null || regime === null) return stage;
    const others = heldOut.filter((entry) => entry.model !== model);
    return { ...stage, halfWidths: byMetric((metric) => predictionHalfWidth(others, regime, metric)) };
  });
}

/** Errors of stages that were predicted without their model, as a host profile keeps them. */
export function heldOutErrors(stages: readonly ValidatedStage[]): HostResidual[] {
  return stages.flatMap(({ model, regime, errors }) =>
    errors === null || regime === null
      ? []
      : [{ model, ...regime, errors: byMetric((metric) => Math.round(errors[metric] * 1e4) / 1e4) }],
  );
}

/** A stage and the mean of it that is farthest off. */
export interface WorstStage {
  readonly run: string;
  readonly model: string;
  readonly workload: string;
  readonly stage: number;
  readonly ratePerSecond: number;
  readonly metric: 'e2eMean' | 'ttftMean' | 'tpotMean';
  readonly error: number;
}

/** Stages by their farthest mean, the worst first; as ratios, so that half as much counts like twice as much. */
export function worstStages(stages: readonly ValidatedStage[], count: number): WorstStage[] {
  const distance = (error: number) => Math.abs(Math.log1p(error));
  return stages
    .flatMap(({ run, model, workload, stage, ratePerSecond, errors }): WorstStage[] => {
      if (errors === null) return [];
      const metrics = ['e2eMean', 'ttftMean', 'tpotMean'] as const;
      const metric = metrics.reduce((far, each) => (distance(errors[each]) > distance(errors[far]) ? each : far));
      return [{ run, model, workload, stage, ratePerSecond, metric, error: errors[metric] }];
    })
    .sort((a, b) => distance(b.error) - distance(a.error))
    .slice(0, count);
}

export function validationSummary(stages: readonly ValidatedStage[]): ValidationSummary {
  const warm = stages.filter((stage) => !stage.cold);
  const cold = stages.filter((stage) => stage.cold);
  return {
    ...byMetric((metric) => metricSummary(stages, metric)),
    ttftP99Warm: metricSummary(warm, 'ttftP99'),
    ttftP99Cold: metricSummary(cold, 'ttftP99'),
  };
}

function compared(run: MeasuredRun, stage: MeasuredStage, predicted: PredictedStage): ValidatedStage {
  const { latencies } = predicted;
  const { regime } = predicted;
  const about = { ...head(run, stage), cold: predicted.coldRequests > 0, regime, halfWidths: null };
  if (predicted.saturated) {
    const reason = `more arrives than ${run.hardware} x ${run.tensorParallel} serves: the queue grows as long as the load lasts`;
    return { ...about, status: 'saturated', reason, predictedMs: null, errors: null };
  }
  return {
    ...about,
    status: 'compared',
    reason: null,
    predictedMs: latencies,
    errors: byMetric((metric) => latencies[metric] / stage.measured[metric] - 1),
  };
}

function head(run: MeasuredRun, stage: MeasuredStage) {
  return {
    run: run.name,
    model: run.model,
    hardware: run.hardware,
    tensorParallel: run.tensorParallel,
    workload: run.workload,
    stage: stage.stage,
    ratePerSecond: stage.ratePerSecond,
    measuredMs: stage.measured,
  };
}

function byMetric<T>(of: (metric: ValidatedMetric) => T): Readonly<Record<ValidatedMetric, T>> {
  return Object.fromEntries(VALIDATED_METRICS.map((metric) => [metric, of(metric)])) as Record<ValidatedMetric, T>;
}

/** Whether the truth lies inside of an interval of this half-width. */
function covered(error: number, halfWidth: number): boolean {
  return Math.abs(Math.log1p(error)) <= Math.log1p(halfWidth);
}

function metricSummary(stages: readonly ValidatedStage[], metric: ValidatedMetric): MetricSummary {
  const used = stages.filter((stage) => stage.errors !== null);
  const errors = used.map((stage) => stage.errors![metric]);
  const absolute = errors.map(Math.abs).sort((a, b) => a - b);
  const banded = used.filter((stage) => stage.halfWidths !== null && stage.halfWidths[metric] !== null);
  const widths = banded.map((stage) => stage.halfWidths![metric]!).sort((a, b) => a - b);
  const inside = banded.filter((stage) => covered(stage.errors![metric], stage.halfWidths![metric]!)).length;
  const some = absolute.length > 0;
  return {
    medianAbsError: some ? quantile(absolute, 0.5) : Number.NaN,
    meanAbsError: some ? absolute.reduce((a, b) => a + b, 0) / absolute.length : Number.NaN,
    p90AbsError: some ? quantile(absolute, 0.9) : Number.NaN,
    bias: some
      ? quantile(
          [...errors].sort((a, b) => a - b),
          0.5,
        )
      : Number.NaN,
    coverage: banded.length === 0 ? null : inside / banded.length,
    halfWidth: banded.length === 0 ? null : quantile(widths, 0.5),
    count: absolute.length,
  };
}
