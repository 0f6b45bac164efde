import { CV_MAX, exponential, gammaSource, type Uniform, uniformSource } from './random.ts';
import { checkBetween, checkCount, checkNotNegative, checkPositive } from './spec-check.ts';

/** When requests arrive. Rates are requests per second. */
export type ArrivalSpec =
  /** Equal intervals. */
  | { readonly kind: 'constant'; readonly ratePerS: number }
  | { readonly kind: 'poisson'; readonly ratePerS: number }
  /** Gamma-distributed intervals; cv 1 is Poisson, above 1 is bursty, 0 is constant. */
  | { readonly kind: 'gamma'; readonly ratePerS: number; readonly cv: number }
  | DiurnalArrivals
  | StagedArrivals
  | ClosedLoopArrivals;

/** Poisson with a rate that swings once a period: rate(t) = ratePerS * (1 + amplitude * cos(2 pi (t - peakS) / periodS)). */
export interface DiurnalArrivals {
  readonly kind: 'diurnal';
  /** Mean over a period. */
  readonly ratePerS: number;
  /** 0 to 1. */
  readonly amplitude: number;
  readonly periodS: number;
  readonly peakS: number;
}

/**
 * Stages one after the other, each with int(ratePerS * durationS) requests whose exponential intervals are scaled so that the
 * last one falls on the stage's end: what inference-perf calls a constant rate (github.com/kubernetes-sigs/inference-perf,
 * loadgen/load_timer.py, ConstantLoadTimer).
 */
export interface StagedArrivals {
  readonly kind: 'stages';
  readonly stages: readonly { readonly ratePerS: number; readonly durationS: number }[];
}

/** `concurrency` users, each of whom sends its next request when its last one has ended, after thinking. */
export interface ClosedLoopArrivals {
  readonly kind: 'closed-loop';
  readonly concurrency: number;
  /** Mean time between an end and the next request; its distribution is gamma with `thinkTimeCv` (0 = always the mean, 1 = exponential). */
  readonly thinkTimeS: number;
  readonly thinkTimeCv: number;
}

export type OpenLoopArrivals = Exclude<ArrivalSpec, ClosedLoopArrivals>;

/** Arrival times of an open loop. */
export interface ArrivalProcess {
  /** Requests in all, or null = without end. */
  readonly requestsTotal: number | null;
  /** Length in nanoseconds, or null = without end. */
  readonly durationNs: number | null;
  /** The next arrival, an integer of nanoseconds that never goes back; Infinity at the end. */
  nextNs(): number;
}

const SECOND_NS = 1e9;

/** The process of `spec` for a scenario's seed. Throws ConfigError for numbers that are not allowed. */
export function arrivalProcess(spec: OpenLoopArrivals, seed: number | string): ArrivalProcess {
  switch (spec.kind) {
    case 'constant':
      checkPositive('arrivals.ratePerS', spec.ratePerS);
      return new ConstantProcess(spec.ratePerS);
    case 'poisson':
      checkPositive('arrivals.ratePerS', spec.ratePerS);
      return new IntervalProcess(spec.ratePerS, intervals(uniformSource(seed, 'arrivals')));
    case 'gamma':
      checkPositive('arrivals.ratePerS', spec.ratePerS);
      checkBetween('arrivals.cv', spec.cv, 0, CV_MAX);
      return new IntervalProcess(spec.ratePerS, gammaSource(uniformSource(seed, 'arrivals'), spec.cv));
    case 'diurnal':
      return new DiurnalProcess(spec, uniformSource(seed, 'arrivals'));
    case 'stages':
      return new StagedProcess(spec, seed);
  }
}

function intervals(uniform: Uniform): () => number {
  return () => exponential(uniform);
}

class ConstantProcess implements ArrivalProcess {
  readonly requestsTotal = null;
  readonly durationNs = null;
  private readonly ratePerS: number;
  private arrivals = 0;

  constructor(ratePerS: number) {
    this.ratePerS = ratePerS;
  }

  /** From the count, so that rounding errors do not add up. */
  nextNs(): number {
    return Math.round((this.arrivals++ * SECOND_NS) / this.ratePerS);
  }
}

/** Independent intervals with mean 1 / rate; the first request comes after the first of them. */
class IntervalProcess implements ArrivalProcess {
  readonly requestsTotal = null;
  readonly durationNs = null;
  private readonly meanNs: number;
  private readonly interval: () => number;
  private timeNs = 0;

  constructor(ratePerS: number, interval: () => number) {
    this.meanNs = SECOND_NS / ratePerS;
    this.interval = interval;
  }

  nextNs(): number {
    this.timeNs += Math.round(this.meanNs * this.interval());
    return this.timeNs;
  }
}

/** Thinning: P. Lewis and G. Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", 1979. */
class DiurnalProcess implements ArrivalProcess {
  readonly requestsTotal = null;
  readonly durationNs = null;
  private readonly spec: DiurnalArrivals;
  private readonly uniform: Uniform;
  private readonly meanAtPeakNs: number;
  private timeNs = 0;

  constructor(spec: DiurnalArrivals, uniform: Uniform) {
    checkPositive('arrivals.ratePerS', spec.ratePerS);
    checkBetween('arrivals.amplitude', spec.amplitude, 0, 1);
    checkPositive('arrivals.periodS', spec.periodS);
    checkNotNegative('arrivals.peakS', spec.peakS);
    this.spec = spec;
    this.uniform = uniform;
    this.meanAtPeakNs = SECOND_NS / (spec.ratePerS * (1 + spec.amplitude));
  }

  nextNs(): number {
    do {
      this.timeNs += Math.round(this.meanAtPeakNs * exponential(this.uniform));
    } while (this.uniform() * (1 + this.spec.amplitude) >= this.level());
    return this.timeNs;
  }

  /** rate(t) / ratePerS, with the cosine rounded to millionths so that no engine's last bit decides. */
  private level(): number {
    const { amplitude, periodS, peakS } = this.spec;
    const phase = (this.timeNs / SECOND_NS - peakS) / periodS;
    return 1 + (amplitude * Math.round(1e6 * Math.cos(2 * Math.PI * (phase - Math.floor(phase))))) / 1e6;
  }
}

class StagedProcess implements ArrivalProcess {
  readonly requestsTotal: number;
  readonly durationNs: number;
  private readonly spec: StagedArrivals;
  private readonly seed: number | string;
  private stage = -1;
  private left = 0;
  private stageStartNs = 0;
  private stageEndNs = 0;
  /** Unscaled: integers, so that their sum and every part of it are exact. */
  private drawnNs = 0;
  private drawnTotalNs = 0;
  private uniform: Uniform = () => 0;

  constructor(spec: StagedArrivals, seed: number | string) {
    this.spec = spec;
    this.seed = seed;
    checkCount('arrivals.stages.length', spec.stages.length);
    let requests = 0;
    let durationNs = 0;
    spec.stages.forEach(({ ratePerS, durationS }, i) => {
      checkPositive(`arrivals.stages[${i}].ratePerS`, ratePerS);
      checkPositive(`arrivals.stages[${i}].durationS`, durationS);
      requests += requestsOf(ratePerS, durationS);
      durationNs += Math.round(durationS * SECOND_NS);
    });
    this.requestsTotal = requests;
    this.durationNs = durationNs;
  }

  nextNs(): number {
    while (this.left === 0) if (!this.enterNext()) return Number.POSITIVE_INFINITY;
    this.left--;
    this.drawnNs += drawNs(this.uniform);
    const durationNs = this.stageEndNs - this.stageStartNs;
    return this.stageStartNs + Math.round((this.drawnNs / this.drawnTotalNs) * durationNs);
  }

  /** Draws the stage's intervals once for their sum; `nextNs` draws the same ones again instead of keeping them. */
  private enterNext(): boolean {
    const stage = this.spec.stages[++this.stage];
    if (stage === undefined) return false;
    this.left = requestsOf(stage.ratePerS, stage.durationS);
    this.stageStartNs = this.stageEndNs;
    this.stageEndNs += Math.round(stage.durationS * SECOND_NS);
    this.drawnNs = 0;
    this.drawnTotalNs = 0;
    const first = uniformSource(this.seed, `arrivals/${this.stage}`);
    for (let i = 0; i < this.left; i++) this.drawnTotalNs += drawNs(first);
    this.uniform = uniformSource(this.seed, `arrivals/${this.stage}`);
    return true;
  }
}

/** int(rate * duration), rounding errors included, as inference-perf computes it. */
function requestsOf(ratePerS: number, durationS: number): number {
  return Math.floor(ratePerS * durationS);
}

/** An exponential interval with mean 1 ms, at least 1 ns so that a stage's sum is never 0. */
function drawNs(uniform: Uniform): number {
  return 1 + Math.round(1e6 * exponential(uniform));
}
