import type { EngineHostProfile } from '../backends/simulated/index.ts';
import {
  HOST_COEFFICIENTS,
  type HostCoefficient,
  type HostProfileHead,
  hostProfile,
  wideExperts,
} from './host-coefficients.ts';
import { difference, type Equation, robustLeastSquares } from './robust-least-squares.ts';
import type { StageLatencies } from './serving-measurement.ts';
import { comparableStages, type PredictedStage, predictStages, type ServingTarget } from './serving-run.ts';

/** Standard deviation of a logarithm that a measured figure is trusted to: what repeats of Llama-3.1-8B differ by, and a little of the model. */
const TRUST: readonly (readonly [metric: keyof StageLatencies, deviation: number])[] = [
  ['tpotMean', 0.015],
  ['ttftMean', 0.02],
  ['ttftP90', 0.03],
  ['e2eP99', 0.05],
  ['ttftP99', 0.2],
];
/** The same of stages in which experts are compiled: how often that happens and whom it meets is chance. */
const TRUST_COMPILING: Readonly<Partial<Record<keyof StageLatencies, number>>> = {
  ttftMean: 0.07,
  e2eP99: Number.POSITIVE_INFINITY,
  ttftP99: Number.POSITIVE_INFINITY,
};

/** The stages of one model count as at most this many: repeats of a configuration say little about other models. */
const STAGES_PER_MODEL = 4;
/** A stage whose measured mean TTFT is above this has a queue that grows: it says nothing of single steps. */
const TTFT_MEAN_MAX_MS = 1000;
/** Chance that meets a few requests would hide what a coefficient changes. */
const CALM = { slowFirstTokens: { share: 0, nsMax: 0 }, expertCompileNs: 0 };
const SEED = 1;
/** Shortened stages show how figures change: differences need less than figures. */
const SHORT = { seed: SEED, share: 0.06 };
/** Steps of the numeric derivatives, in spreads of the coefficient. */
const DERIVATIVE_STEP = 0.5;
/** How often the engine is run again where the last solution is. */
const ROUNDS = 3;

/** A target with everything that was measured of its configuration: repeats share a pass through the engine. */
interface Distinct {
  readonly target: ServingTarget;
  readonly repeats: readonly ServingTarget[];
  /** Logarithms of its figures at the centres. */
  readonly whole: readonly number[];
  /** The same with shortened stages, calm. */
  readonly short: readonly number[];
  /** gains[c][i]: what figure i gains when coefficient c doubles, as a share of it. */
  readonly gains: readonly (readonly number[])[];
}

export interface HostFitHooks {
  /** After each pass of runs through the engine, of `passes`. */
  readonly pass?: (passes: number) => void;
}

/**
 * Coefficients of the engine's host from measured runs: a robust, bounded least squares of logarithms with the priors of HOST_COEFFICIENTS. The
 * engine is linearised at the centres of the priors, where no measurement has a say, and run again around each solution, so that a fit without
 * a model has seen nothing of it. Pure: same measurements, same profile.
 */
export class HostFit {
  private readonly about: HostProfileHead;
  private readonly distinct: readonly Distinct[];

  /** `about` is written into the profiles. */
  constructor(targets: readonly ServingTarget[], about: HostProfileHead, hooks: HostFitHooks = {}) {
    this.about = about;
    const groups = distinctRuns(targets.filter(usable));
    const at = CENTRES;
    this.distinct = groups.map((repeats) => {
      const target = repeats[0]!;
      const whole = figures(comparableStages(target, hostProfile(at, about), SEED));
      const short = shortFigures(target, { ...hostProfile(at, about), ...CALM });
      const gains = HOST_COEFFICIENTS.map((coefficient, c) => gainsOf(target, coefficient, c, short, about));
      hooks.pass?.(groups.length);
      return { target, repeats, whole, short, gains };
    });
  }

  /** The profile that the measurements give, those of one model left out. */
  solve(leftOut: string | null = null): EngineHostProfile {
    const used = this.distinct.filter(({ target }) => target.run.model !== leftOut);
    const expected = equations(used);
    let current = expected;
    for (let round = 0; ; round++) {
      const at = robustLeastSquares(HOST_COEFFICIENTS, current);
      const profile = hostProfile(at, this.about);
      if (round === ROUNDS - 1) return profile;
      current = corrected(used, expected, at, profile);
    }
  }
}

const CENTRES = HOST_COEFFICIENTS.map(({ centre }) => Math.log(centre));

function distinctRuns(targets: readonly ServingTarget[]): (readonly ServingTarget[])[] {
  const groups = new Map<string, ServingTarget[]>();
  for (const target of targets) {
    const { run } = target;
    const load = run.stages.map((stage) => `${stage.stage}:${stage.ratePerSecond}`).join(' ');
    const key = `${run.model} ${run.tensorParallel} ${run.tokensPerStepMax} ${run.sequencesMax} ${run.systemPromptTokens}+${run.questionTokens} ${load}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [target]);
    else group.push(target);
  }
  return [...groups.values()];
}

function usable(target: ServingTarget): boolean {
  return target.run.stages.every((stage) => stage.measured.ttftMean <= TTFT_MEAN_MAX_MS);
}

/** Logarithms of the trusted figures, stage by stage. */
function figures(stages: readonly PredictedStage[]): number[] {
  return stages.flatMap(({ latencies }) => TRUST.map(([metric]) => Math.log(latencies[metric])));
}

function shortFigures(target: ServingTarget, host: EngineHostProfile): number[] {
  return figures(predictStages(target, host, SHORT));
}

function gainsOf(
  target: ServingTarget,
  { byChance, of, spread }: HostCoefficient,
  coefficient: number,
  short: readonly number[],
  about: HostProfileHead,
): readonly number[] {
  if (of !== undefined && !of(target)) return short.map(() => 0);
  if (byChance) {
    // From nothing to the centre.
    const { slowFirstTokens } = CALM;
    const moved = shortFigures(target, { ...hostProfile(CENTRES, about), slowFirstTokens });
    return moved.map((value, i) => 1 - Math.exp(short[i]! - value));
  }
  const step = DERIVATIVE_STEP * spread;
  const point = CENTRES.map((value, other) => (other === coefficient ? value + step : value));
  const moved = shortFigures(target, { ...hostProfile(point, about), ...CALM });
  return moved.map((value, i) => (Math.exp(value - short[i]!) - 1) / (Math.exp(step) - 1));
}

function equations(distinct: readonly Distinct[]): Equation[] {
  const stages = new Map<string, number>();
  for (const { repeats } of distinct) {
    for (const { run } of repeats) stages.set(run.model, (stages.get(run.model) ?? 0) + run.stages.length);
  }
  return distinct.flatMap(({ target, whole, gains, repeats }) => {
    const crowd = Math.sqrt(Math.max(1, stages.get(repeats[0]!.run.model)! / STAGES_PER_MODEL));
    return repeats.flatMap(({ run }) =>
      run.stages.flatMap(({ measured }, stage) =>
        TRUST.map(([metric, deviation], k): Equation => {
          const i = stage * TRUST.length + k;
          const trusted = stage === 0 && wideExperts(target) ? (TRUST_COMPILING[metric] ?? deviation) : deviation;
          return {
            difference: Math.log(measured[metric]) - whole[i]!,
            gains: gains.map((of) => of[i]!),
            deviation: trusted * crowd,
          };
        }),
      ),
    );
  });
}

/** The equations with what the engine says at `at`, where the gains say something else. */
function corrected(
  distinct: readonly Distinct[],
  expected: readonly Equation[],
  at: readonly number[],
  profile: EngineHostProfile,
): Equation[] {
  let next = 0;
  return distinct.flatMap(({ target, repeats, short }) => {
    const moved = shortFigures(target, { ...profile, ...CALM });
    return repeats.flatMap(() =>
      moved.map((value, i) => {
        const equation = expected[next++]!;
        const said = equation.difference - difference({ ...equation, gains: calmGains(equation.gains) }, at, CENTRES);
        return { ...equation, difference: equation.difference - (value - short[i]! - said) };
      }),
    );
  });
}

/** Without those of coefficients that a calm run does not know. */
function calmGains(gains: readonly number[]): readonly number[] {
  return gains.map((gain, c) => (HOST_COEFFICIENTS[c]!.byChance ? 0 : gain));
}
