import { Bench } from 'tinybench';

/** One figure to take: rounds of samples, each round on fresh state. */
export interface Case {
  readonly name: string;
  readonly unit: Unit;
  /** Samples per round, before `--smoke` cuts them. */
  readonly samples: number;
  /** What the p99 may be, in `unit`; null = no bar. */
  readonly p99Max: number | null;
  /** Makes fresh state; not timed. */
  begin(): Round;
}

export interface Round {
  /** Does the work once and returns how long it took, ms, by `performance.now`; preparation of a sample is left out of it. */
  sample(): number;
  /** Throws when the round was not what the case says it is. */
  end(): void;
}

/** us: of the sample as it is; the others: ns per block or per sequence-step, which the sample has divided by already. */
export type Unit = 'us' | 'ns/block' | 'ns/sequence-step';

export interface Figure {
  readonly name: string;
  readonly unit: Unit;
  readonly p50: number;
  readonly p99: number;
  /** Of the quietest round: what is left when nobody else has the processor. */
  readonly p99Least: number;
  readonly p99Max: number | null;
  readonly verdict: 'ok' | 'over' | null;
}

/** How much is measured: figures are the medians over the rounds. */
export interface Effort {
  /** Rounds that count. */
  readonly rounds: number;
  /** Rounds before them, until the compiler has settled. */
  readonly warmUpRounds: number;
  /** Samples of a round at most. */
  readonly samplesMax: number;
}

const PER_MS: Readonly<Record<Unit, number>> = { us: 1e3, 'ns/block': 1e6, 'ns/sequence-step': 1e6 };

/** Takes a case's figure. */
export function measure(subject: Case, effort: Effort): Figure {
  const p50: number[] = [];
  const p99: number[] = [];
  for (let round = -effort.warmUpRounds; round < effort.rounds; round++) {
    const { p50: middle, p99: high } = runRound(subject, effort);
    if (round < 0) continue;
    p50.push(middle * PER_MS[subject.unit]);
    p99.push(high * PER_MS[subject.unit]);
  }
  const { name, unit, p99Max } = subject;
  const high = median(p99);
  const verdict = p99Max === null ? null : high <= p99Max ? 'ok' : 'over';
  return { name, unit, p50: median(p50), p99: high, p99Least: Math.min(...p99), p99Max, verdict };
}

function runRound(subject: Case, effort: Effort): { p50: number; p99: number } {
  const round = subject.begin();
  const iterations = Math.min(subject.samples, effort.samplesMax);
  // Time is taken by the samples themselves: tinybench repeats and does the statistics.
  const bench = new Bench({ iterations, time: 0, warmup: false, throws: true });
  bench.add(subject.name, () => ({ overriddenDuration: round.sample() }));
  const result = bench.runSync()[0]!.result;
  round.end();
  if (result.state !== 'completed') throw new Error(`${subject.name}: ${result.state}`);
  return { p50: result.latency.p50, p99: result.latency.p99 };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
