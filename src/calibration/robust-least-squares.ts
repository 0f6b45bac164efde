import { levenbergMarquardt } from 'ml-levenberg-marquardt';

/**
 * A positive unknown, looked for as its logarithm. `centre` is where it lies when nothing measured speaks of it, `spread` how far from it, as a
 * logarithm, one standard deviation is: orders of magnitude for host times, the spread between kernel versions for factors.
 */
export interface Unknown {
  readonly name: string;
  readonly centre: number;
  readonly spread: number;
  readonly bounds: readonly [number, number];
}

/**
 * One measured figure and what it is expected to be: positive, at the centres `expected`, and growing by the share `gains[c]` when unknown c doubles
 * (less when it falls): figures are sums of times, so they go with the unknowns themselves and not with their logarithms.
 */
export interface Equation {
  /** Logarithm of measured over expected at the centres. */
  readonly difference: number;
  readonly gains: readonly number[];
  /** Of the logarithm. */
  readonly deviation: number;
}

/**
 * Weights by distance in deviations (P. Holland and R. Welsch, Commun. Stat. A6, 1977). Cauchy's in the first half of the rounds, less the farther: near
 * the centres everything is far off. Then Tukey's: outliers have no say at all.
 */
const cauchy = (distance: number) => 1 / (1 + (distance / 2.385) ** 2);
const tukey = (distance: number) => (distance < 4.685 ? (1 - (distance / 4.685) ** 2) ** 2 : 0);
const ROUNDS = 24;
/** Iterations of a round: its weights hold near its start only. */
const ITERATIONS = 6;

/** The point, as logarithms, within all bounds that is closest to equations and centres: Levenberg-Marquardt with the weights above. */
export function robustLeastSquares(unknowns: readonly Unknown[], equations: readonly Equation[]): number[] {
  const centres = unknowns.map(({ centre }) => Math.log(centre));
  const minValues = unknowns.map(({ bounds, centre }) => Math.log(Math.max(bounds[0], centre / 1000)));
  const maxValues = unknowns.map(({ bounds }) => Math.log(bounds[1]));
  const x = Array.from({ length: equations.length + unknowns.length }, (_, row) => row);
  let point = centres;
  for (let round = 0; round < ROUNDS; round++) {
    const loss = round < ROUNDS / 2 ? cauchy : tukey;
    const weights = equations.map((equation) => {
      const distance = Math.abs(difference(equation, point, centres)) / equation.deviation;
      return Math.sqrt(loss(distance)) / equation.deviation;
    });
    const y = x.map((row) => {
      const prior = row - equations.length;
      return prior < 0 ? weights[row]! * equations[row]!.difference : centres[prior]! / unknowns[prior]!.spread;
    });
    const value = (at: number[]) => {
      const ratios = ratiosOf(at, centres);
      return (row: number) => {
        const prior = row - equations.length;
        if (prior >= 0) return at[prior]! / unknowns[prior]!.spread;
        return weights[row]! * Math.log(growth(equations[row]!.gains, ratios));
      };
    };
    const jacobianFunction = (at: number[]) => {
      const ratios = ratiosOf(at, centres);
      return (row: number) => {
        const prior = row - equations.length;
        if (prior >= 0) return unknowns.map(({ spread }, c) => (c === prior ? 1 / spread : 0));
        const { gains } = equations[row]!;
        const share = weights[row]! / growth(gains, ratios);
        return gains.map((gain, c) => share * gain * ratios[c]!);
      };
    };
    const options = { initialValues: point, minValues, maxValues, jacobianFunction };
    const solution = levenbergMarquardt({ x, y }, value, { ...options, maxIterations: ITERATIONS, errorTolerance: 0 });
    point = solution.parameterValues;
  }
  return point;
}

/** Logarithm of measured over expected at a point. */
export function difference(
  { difference: atCentres, gains }: Equation,
  point: readonly number[],
  centres: readonly number[],
) {
  return atCentres - Math.log(growth(gains, ratiosOf(point, centres)));
}

/** How many times their centres the unknowns are. */
function ratiosOf(point: readonly number[], centres: readonly number[]): number[] {
  return point.map((value, c) => Math.exp(value - centres[c]!));
}

function growth(gains: readonly number[], ratios: readonly number[]): number {
  let sum = 1;
  for (let c = 0; c < gains.length; c++) sum += gains[c]! * (ratios[c]! - 1);
  return Math.max(0.05, sum);
}
