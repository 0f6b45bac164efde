import { nnls } from 'nnls';
import {
  type EngineHostProfile,
  HOST_PROFILE_BOUNDS,
  samplesWithFilters,
  UNIT_SCALE,
} from '../backends/simulated/index.ts';
import type { StageLatencies } from './serving-measurement.ts';
import { predictStages, type ServingRunOptions, type ServingTarget } from './serving-run.ts';

const BOUNDS = HOST_PROFILE_BOUNDS;

/**
 * A coefficient of the fit, in logarithms. `centre` is where it lies when nothing measured speaks of it, `spread` how far from it, as a
 * logarithm, one standard deviation is: orders of magnitude for host times, the spread between kernel versions for factors.
 */
interface Coefficient {
  readonly name: string;
  readonly centre: number;
  readonly spread: number;
  readonly bounds: readonly [number, number];
  /** Where the fit begins, when not at the centre: spares a round of derivatives. */
  readonly start?: number;
  /** Runs that it changes; all of them unless told. */
  readonly of?: (target: ServingTarget) => boolean;
}

const parallel = ({ run }: ServingTarget) => run.tensorParallel > 1;
const experts = ({ model }: ServingTarget) => model.experts !== null;

const COEFFICIENTS: readonly Coefficient[] = [
  {
    name: 'perStepNs',
    centre: 150_000,
    start: 30_000,
    spread: 0.5,
    bounds: BOUNDS.stepNs,
    of: (target) => !parallel(target),
  },
  {
    name: 'perStepTensorParallelNs',
    centre: 300_000,
    start: 700_000,
    spread: 0.5,
    bounds: BOUNDS.stepNs,
    of: parallel,
  },
  { name: 'perKernelNs', centre: 1_500, start: 700, spread: 0.5, bounds: BOUNDS.kernelNs },
  { name: 'perSequenceNs', centre: 3_000, start: 1_700, spread: 0.5, bounds: BOUNDS.sequenceNs },
  { name: 'piecewiseNsPerLayer', centre: 5_000, start: 17_000, spread: 1, bounds: BOUNDS.layerNs },
  { name: 'eagerNsPerLayerKernel', centre: 30_000, start: 45_000, spread: 1, bounds: BOUNDS.layerNs },
  { name: 'requestBeforeNs', centre: 1_500_000, start: 350_000, spread: 0.5, bounds: BOUNDS.requestNs },
  { name: 'perPromptTokenNs', centre: 4_000, start: 8_400, spread: 0.5, bounds: BOUNDS.perPromptTokenNs },
  { name: 'firstTokenNsPerSequence', centre: 40_000, spread: 0.7, bounds: [0, 500_000] },
  { name: 'stallNs', centre: 1.4e9, start: 1.2e9, spread: 0.3, bounds: BOUNDS.stallNs, of: experts },
  { name: 'scale.gemm', centre: 1, spread: 0.05, bounds: BOUNDS.scale.gemm },
  { name: 'scale.moe', centre: 1, spread: 0.1, bounds: BOUNDS.scale.moe, of: experts },
  {
    name: 'scale.sampling',
    centre: 1,
    start: 0.8,
    spread: 0.2,
    bounds: BOUNDS.scale.sampling,
    of: ({ run }) => samplesWithFilters(run.model),
  },
  { name: 'scale.decodeAttention', centre: 1, start: 0.97, spread: 0.15, bounds: BOUNDS.scale.decodeAttention },
  { name: 'scale.allReduce', centre: 1.1, start: 1.3, spread: 0.15, bounds: BOUNDS.scale.allReduce, of: parallel },
];

/** Standard deviation of a logarithm that a measured figure is trusted to: percentiles scatter more than means. */
const TRUST: readonly (readonly [metric: keyof StageLatencies, deviation: number])[] = [
  ['tpotMean', 0.01],
  ['ttftMean', 0.015],
  ['ttftP90', 0.03],
  ['e2eP99', 0.06],
];

/** Beyond this many deviations a figure pulls with constant force (P. Huber, Ann. Math. Stat. 35, 1964). */
const HUBER = 1.5;
const REWEIGHTINGS = 4;
/** Step of the numeric derivative, as a logarithm. */
const DERIVATIVE_STEP = 0.1;
/** How much of its duration a stage is run to see where the fit is, and to see how that changes: differences need less. */
const LOOK = { seed: 1, coldShare: 1, warmShare: 0.2 };
const DIFFERENCE = { seed: 1, coldShare: 0.08, warmShare: 0.06 };
/** A stage whose measured mean TTFT is above this has a queue that grows: it says nothing of single steps. */
const TTFT_MEAN_MAX_MS = 1000;
const ROUNDS = 2;
/** Rounds that take new derivatives; the later ones only look again where they are. */
const DERIVATIVE_ROUNDS = 1;
/** First-time prompts with which fused mixtures of experts compile for a new shape (inference-sim/training, lifecycle records). */
const STALLS_AT = [2, 8, 16, 24, 34];

export interface HostFit {
  readonly profile: EngineHostProfile;
  /** The last linearisation: what leaving models out refits on. */
  readonly linear: Linearisation;
}

/** Predictions near a point: logarithms of every figure, and how they change with each coefficient. */
interface Linearisation {
  readonly at: readonly number[];
  readonly models: readonly string[];
  readonly measured: readonly number[];
  readonly deviations: readonly number[];
  readonly predicted: readonly number[];
  /** derivative[c][i] of figure i by coefficient c. */
  readonly derivatives: readonly (readonly number[])[];
}

export interface HostFitHooks {
  /** After each pass of all runs through the engine. */
  readonly pass?: (round: number, pass: number, passes: number) => void;
}

/**
 * Coefficients of the engine's host from measured runs: a robust, bounded least squares of logarithms with the priors above on a
 * linearisation of the engine, which is run again around the solution `ROUNDS` times. Pure: same measurements, same
 * profile. `engine`, `createdOn` and `sources` are written into it.
 */
export function fitHost(
  targets: readonly ServingTarget[],
  about: Pick<EngineHostProfile, 'engine' | 'createdOn' | 'sources'>,
  hooks: HostFitHooks = {},
): HostFit {
  const distinct = distinctRuns(targets);
  let at = COEFFICIENTS.map(({ start, centre }) => Math.log(start ?? centre));
  let linear: Linearisation | null = null;
  for (let round = 0; round < ROUNDS; round++) {
    const known = round < DERIVATIVE_ROUNDS ? null : linear;
    linear = linearise(distinct, at, about, known, (pass) => hooks.pass?.(round, pass, COEFFICIENTS.length + 1));
    at = solve(linear, null);
  }
  return { profile: hostProfile(at, about), linear: linear! };
}

/** The same fit without the figures of one model. */
export function refitWithout(fit: HostFit, model: string): EngineHostProfile {
  return hostProfile(solve(fit.linear, model), fit.profile);
}

/** A target with everything that was measured of its configuration: repeats share a pass through the engine. */
interface Distinct {
  readonly target: ServingTarget;
  readonly repeats: readonly ServingTarget[];
}

function distinctRuns(targets: readonly ServingTarget[]): Distinct[] {
  const groups = new Map<string, ServingTarget[]>();
  for (const target of targets) {
    const { run } = target;
    const load = run.stages.map((stage) => `${stage.stage}:${stage.ratePerSecond}`).join(' ');
    const key = `${run.model} ${run.tensorParallel} ${run.tokensPerStepMax} ${run.sequencesMax} ${run.systemPromptTokens}+${run.questionTokens} ${load}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [target]);
    else group.push(target);
  }
  return [...groups.values()].map((repeats) => ({ target: repeats[0]!, repeats }));
}

function usable(target: ServingTarget): boolean {
  return target.run.stages.every((stage) => stage.measured.ttftMean <= TTFT_MEAN_MAX_MS);
}

function linearise(
  distinct: readonly Distinct[],
  at: readonly number[],
  about: Pick<EngineHostProfile, 'engine' | 'createdOn' | 'sources'>,
  known: Linearisation | null,
  passed: (pass: number) => void,
): Linearisation {
  const used = distinct.filter(({ target }) => usable(target));
  const predict = (
    point: readonly number[],
    shares: ServingRunOptions,
    base: readonly number[],
    moves: Coefficient['of'],
  ) => {
    const host = hostProfile(point, about);
    let from = 0;
    return used.flatMap(({ target, repeats }) => {
      const count = repeats.length * target.run.stages.length * TRUST.length;
      from += count;
      if (moves !== undefined && !moves(target)) return base.slice(from - count, from);
      const stages = predictStages(target, host, shares);
      const figures = stages.flatMap(({ latencies }) => TRUST.map(([metric]) => Math.log(latencies[metric])));
      return repeats.flatMap(() => figures);
    });
  };
  const each = <T>(of: (target: ServingTarget, measured: StageLatencies, metric: number) => T): T[] =>
    used.flatMap(({ repeats }) =>
      repeats.flatMap((target) =>
        target.run.stages.flatMap((stage) => TRUST.map((_, metric) => of(target, stage.measured, metric))),
      ),
    );
  const predicted = predict(at, LOOK, [], undefined);
  passed(1);
  const start = known === null ? predict(at, DIFFERENCE, [], undefined) : [];
  const derivatives =
    known?.derivatives ??
    at.map((_, c) => {
      const moved = predict(
        at.map((value, other) => (other === c ? value + DERIVATIVE_STEP : value)),
        DIFFERENCE,
        start,
        COEFFICIENTS[c]!.of,
      );
      passed(c + 2);
      return moved.map((value, i) => (value - start[i]!) / DERIVATIVE_STEP);
    });
  return {
    at,
    predicted,
    derivatives,
    models: each((target) => target.run.model),
    measured: each((_, measured, metric) => Math.log(measured[TRUST[metric]![0]])),
    deviations: each((_, __, metric) => TRUST[metric]![1]),
  };
}

/** The coefficients that minimise the weighted squares within their bounds, without the figures of `leftOut`. */
function solve(linear: Linearisation, leftOut: string | null): number[] {
  const figures = linear.predicted.map((_, i) => i).filter((i) => linear.models[i] !== leftOut);
  const residual = (point: readonly number[], i: number) => {
    let value = linear.measured[i]! - linear.predicted[i]!;
    for (let c = 0; c < point.length; c++) value -= linear.derivatives[c]![i]! * (point[c]! - linear.at[c]!);
    return value;
  };
  let point: number[] = [...linear.at];
  for (let round = 0; round < REWEIGHTINGS; round++) {
    const rows = figures.map((i) => {
      const distance = Math.abs(residual(point, i)) / linear.deviations[i]!;
      const weight = Math.sqrt(distance > HUBER ? HUBER / distance : 1) / linear.deviations[i]!;
      const target = residual(
        COEFFICIENTS.map(() => 0),
        i,
      );
      return { row: linear.derivatives.map((of) => of[i]! * weight), target: target * weight };
    });
    const priors = COEFFICIENTS.map(({ centre, spread }, c) => ({
      row: COEFFICIENTS.map((_, other) => (other === c ? 1 / spread : 0)),
      target: Math.log(centre) / spread,
    }));
    point = boundedLeastSquares([...rows, ...priors]);
  }
  return point;
}

/**
 * Non-negative least squares (C. Lawson and R. Hanson, 1974) of what each coefficient is above its lower bound; one that comes out above its
 * upper bound is held there, and the others are solved again.
 */
function boundedLeastSquares(
  equations: readonly { readonly row: readonly number[]; readonly target: number }[],
): number[] {
  const low = COEFFICIENTS.map(({ bounds, centre }) => Math.log(Math.max(bounds[0], centre / 1000)));
  const high = COEFFICIENTS.map(({ bounds }) => Math.log(bounds[1]));
  const held = COEFFICIENTS.map(() => false);
  for (;;) {
    const free = COEFFICIENTS.map((_, c) => c).filter((c) => !held[c]);
    const base = COEFFICIENTS.map((_, c) => (held[c] ? high[c]! : low[c]!));
    const matrix = equations.map(({ row }) => free.map((c) => row[c]!));
    const targets = equations.map(({ row, target }) => row.reduce((left, value, c) => left - value * base[c]!, target));
    const solution = nnls(matrix, targets, { maxIterations: 1000 }).x.to1DArray();
    const point = [...base];
    free.forEach((c, k) => {
      point[c] = base[c]! + solution[k]!;
    });
    const over = free.filter((c) => point[c]! > high[c]! + 1e-12);
    if (over.length === 0) return point;
    for (const c of over) held[c] = true;
  }
}

function hostProfile(
  logs: readonly number[],
  about: Pick<EngineHostProfile, 'engine' | 'createdOn' | 'sources'>,
): EngineHostProfile {
  const value = (name: string) => Math.exp(logs[COEFFICIENTS.findIndex((entry) => entry.name === name)]!);
  const ns = (name: string) => Math.round(value(name));
  const factor = (name: string) => Number(value(name).toFixed(4));
  const requestNs = ns('requestBeforeNs');
  return {
    formatVersion: 1,
    engine: about.engine,
    createdOn: about.createdOn,
    sources: about.sources,
    perStepNs: ns('perStepNs'),
    perStepTensorParallelNs: ns('perStepTensorParallelNs'),
    perLayerNs: 0,
    perKernelNs: ns('perKernelNs'),
    perSequenceNs: ns('perSequenceNs'),
    perOutputTokenNs: 0,
    samplingNsPerVocab: 0,
    piecewiseNsPerLayer: ns('piecewiseNsPerLayer'),
    eagerNsPerLayerKernel: ns('eagerNsPerLayerKernel'),
    // vLLM 0.15: `max_cudagraph_capture_size = min(max_num_seqs * 2, 512)`.
    captureTokensMax: 512,
    captureTokensPerSequence: 2,
    requestBeforeNs: requestNs,
    requestAfterNs: requestNs,
    perPromptTokenNs: ns('perPromptTokenNs'),
    firstTokenNsPerSequence: ns('firstTokenNsPerSequence'),
    moeStalls: { coldPrompts: STALLS_AT, stallNs: ns('stallNs') },
    scale: {
      ...UNIT_SCALE,
      gemm: factor('scale.gemm'),
      moe: factor('scale.moe'),
      sampling: factor('scale.sampling'),
      decodeAttention: factor('scale.decodeAttention'),
      allReduce: factor('scale.allReduce'),
    },
    residuals: [],
  };
}
