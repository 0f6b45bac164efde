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
const ROUNDS = 25;
const STEP_MAX = 0.5;

interface Row {
  readonly row: readonly number[];
  readonly target: number;
}

/** The point, as logarithms, within all bounds that is closest to equations and centres: Gauss-Newton with the weights above. */
export function robustLeastSquares(unknowns: readonly Unknown[], equations: readonly Equation[]): number[] {
  const centres = unknowns.map(({ centre }) => Math.log(centre));
  const priors = unknowns.map(({ spread }, c) => ({
    row: unknowns.map((_, other) => (other === c ? 1 / spread : 0)),
    target: centres[c]! / spread,
  }));
  let point = centres;
  for (let round = 0; round < ROUNDS; round++) {
    const rows = equations.map((equation) => linearised(equation, point, centres, round < ROUNDS / 2 ? cauchy : tukey));
    const solution = boundedLeastSquares(unknowns, [...rows, ...priors], point);
    // A long step leaves the range in which the linearisation holds.
    point = point.map((value, c) => value + Math.max(-STEP_MAX, Math.min(STEP_MAX, solution[c]! - value)));
  }
  return point;
}

/** Logarithm of measured over expected at a point. */
export function difference(
  { difference: atCentres, gains }: Equation,
  point: readonly number[],
  centres: readonly number[],
) {
  return atCentres - Math.log(growth(gains, point, centres));
}

function growth(gains: readonly number[], point: readonly number[], centres: readonly number[]): number {
  let sum = 1;
  for (let c = 0; c < gains.length; c++) sum += gains[c]! * (Math.exp(point[c]! - centres[c]!) - 1);
  return Math.max(0.05, sum);
}

/** The equation near `point`, weighted. */
function linearised(
  equation: Equation,
  point: readonly number[],
  centres: readonly number[],
  loss: (distance: number) => number,
): Row {
  const left = difference(equation, point, centres);
  const distance = Math.abs(left) / equation.deviation;
  const weight = Math.sqrt(loss(distance)) / equation.deviation;
  const sum = growth(equation.gains, point, centres);
  const slopes = equation.gains.map((gain, c) => (gain * Math.exp(point[c]! - centres[c]!)) / sum);
  const target = slopes.reduce((value, slope, c) => value + slope * point[c]!, left);
  return { row: slopes.map((slope) => slope * weight), target: target * weight };
}

interface NormalEquations {
  readonly matrix: readonly Float64Array[];
  readonly right: Float64Array;
}

/** Positive definite: the priors see to that. */
function normalEquations(equations: readonly Row[]): NormalEquations {
  const size = equations[0]!.row.length;
  const matrix = Array.from({ length: size }, () => new Float64Array(size));
  const right = new Float64Array(size);
  for (const { row, target } of equations) {
    for (let i = 0; i < size; i++) {
      const value = row[i]!;
      if (value === 0) continue;
      right[i]! += value * target;
      for (let j = 0; j < size; j++) matrix[i]![j]! += value * row[j]!;
    }
  }
  return { matrix, right };
}

/**
 * Least squares between bounds (P. Stark and R. Parker, Computational Statistics 10, 1995): unknowns are free or rest on a bound. The free ones go
 * towards the solution that ignores their bounds, as far as the first bound; then the one that pulls most away from its bound is freed.
 */
function boundedLeastSquares(
  unknowns: readonly Unknown[],
  equations: readonly Row[],
  start: readonly number[],
): number[] {
  const low = unknowns.map(({ bounds, centre }) => Math.log(Math.max(bounds[0], centre / 1000)));
  const high = unknowns.map(({ bounds }) => Math.log(bounds[1]));
  const { matrix, right } = normalEquations(equations);
  const point = start.map((value, c) => Math.min(high[c]!, Math.max(low[c]!, value)));
  const free = new Set(unknowns.keys());
  for (let round = 0; round < 10 * unknowns.length; round++) {
    const wanted = solveFree(matrix, right, point, [...free]);
    let share = 1;
    let stop = -1;
    for (const [c, value] of wanted) {
      const bound = value < low[c]! ? low[c]! : value > high[c]! ? high[c]! : null;
      if (bound === null) continue;
      const reached = value === point[c] ? 0 : (bound - point[c]!) / (value - point[c]!);
      if (reached < share) [share, stop] = [reached, c];
    }
    for (const [c, value] of wanted) point[c]! += share * (value - point[c]!);
    if (stop >= 0) {
      point[stop] = wanted.get(stop)! < low[stop]! ? low[stop]! : high[stop]!;
      free.delete(stop);
      continue;
    }
    let most = PULL_MIN;
    let freed = -1;
    for (const c of unknowns.keys()) {
      if (free.has(c)) continue;
      const gradient = matrix[c]!.reduce((sum, value, j) => sum + value * point[j]!, -right[c]!);
      const pull = point[c] === low[c] ? -gradient : gradient;
      if (pull > most) [most, freed] = [pull, c];
    }
    if (freed < 0) break;
    free.add(freed);
  }
  return point;
}

/** Pulls below this are rounding: gradients are of the order of 1 / spread^2. */
const PULL_MIN = 1e-6;

/** What the free unknowns are when the others stay: Cholesky's factorisation of their part of the normal equations. */
function solveFree(
  matrix: readonly Float64Array[],
  right: Float64Array,
  point: readonly number[],
  free: readonly number[],
): Map<number, number> {
  const size = free.length;
  const factor = Array.from({ length: size }, () => new Float64Array(size));
  const values = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const row = matrix[free[i]!]!;
    for (let j = 0; j <= i; j++) {
      let sum = row[free[j]!]!;
      for (let k = 0; k < j; k++) sum -= factor[i]![k]! * factor[j]![k]!;
      factor[i]![j] = i === j ? Math.sqrt(sum) : sum / factor[j]![j]!;
    }
    let value = right[free[i]!]!;
    for (let c = 0; c < point.length; c++) if (!free.includes(c)) value -= row[c]! * point[c]!;
    for (let k = 0; k < i; k++) value -= factor[i]![k]! * values[k]!;
    values[i] = value / factor[i]![i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) values[i]! -= factor[k]![i]! * values[k]!;
    values[i]! /= factor[i]![i]!;
  }
  return new Map(free.map((c, i) => [c, values[i]!]));
}
