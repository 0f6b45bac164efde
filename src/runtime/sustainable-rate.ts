import type { BindingResource } from '../backends/simulated/index.ts';
import type { RunSummary } from '../simulation/run-summary.ts';
import { InputError } from './input-error.ts';
import type { RunHooks, RunOutcome, RunSpec } from './run-spec.ts';
import { wallNs } from './system-clock.ts';

/** One run of the search. */
export interface RateTrial {
  readonly requestsPerSecond: number;
  readonly saturated: boolean;
  /** null past saturation: latencies there grow with the length of the run. */
  readonly latencySeconds: RunSummary['latencySeconds'] | null;
}

export interface SustainableRate {
  readonly scenario: string;
  readonly seed: number;
  /** The highest rate that was tried and sustained; the lowest that was not is at most RATE_PRECISION above. */
  readonly requestsPerSecond: number;
  readonly saturatedRequestsPerSecond: number;
  readonly outputTokensPerSecond: number;
  /** What runs out first. */
  readonly binding: BindingResource | null;
  /** Simulated time in which requests arrive in each trial. */
  readonly trialSeconds: number;
  /** In order of the rate. */
  readonly trials: readonly RateTrial[];
  readonly wallSeconds: number;
}

/** Ratio of the rates between which the search ends. */
export const RATE_PRECISION = 1.02;
/** First step from what a closed loop serves, and each further one, until the rate is enclosed. */
const BRACKET = 1.2;
/** A trial is so many times as long as a request of a full batch: queues show their trend, batches fill. */
const TRIAL_REQUESTS = 20;
const TRIAL_SECONDS_MIN = 120;
/** Requests of the closed loop that finds where to begin, per sequence of the batch. */
const PROBE_ROUNDS = 6;
const TRIALS_MAX = 40;

type Simulate = (spec: RunSpec, hooks: RunHooks) => Promise<RunOutcome>;

/**
 * The highest rate of Poisson arrivals that a configuration sustains for the requests of its workload: by bisection over simulated runs, each
 * judged by the trend of its queue (`queueTrend`). Deterministic. Clients that give up and faults are left out. Throws InputError for a
 * workload that is no single generated one, or of which nothing completes.
 */
export async function sustainableRate(spec: RunSpec, simulate: Simulate): Promise<SustainableRate> {
  const startNs = wallNs();
  const probe = (await simulate(closedLoop(spec), {})).summary;
  const served = probe.throughput.requestsPerSecond;
  const requestSeconds = probe.latencySeconds.e2e.mean;
  if (requestSeconds === null || !(served > 0)) {
    throw new InputError(`${spec.scenario}: no request of its workload completes: no rate is sustained`);
  }
  const trialSeconds = Math.ceil(Math.max(TRIAL_SECONDS_MIN, TRIAL_REQUESTS * requestSeconds));
  const outcomes = new Map<number, RunSummary>();
  const saturatedAt = async (rate: number): Promise<boolean> => {
    if (outcomes.size >= TRIALS_MAX) throw new InputError(`${spec.scenario}: no rate between ${served} and ${rate}/s`);
    const { summary } = await simulate(atRate(spec, rate, trialSeconds), {});
    outcomes.set(rate, summary);
    return isSaturated(summary);
  };
  let { low, high } = await enclose(served, saturatedAt);
  while (high / low > RATE_PRECISION) {
    const middle = Math.sqrt(low * high);
    if (await saturatedAt(middle)) high = middle;
    else low = middle;
  }
  const best = outcomes.get(low)!;
  const trials = [...outcomes]
    .sort(([a], [b]) => a - b)
    .map(([requestsPerSecond, summary]) => {
      const saturated = isSaturated(summary);
      return { requestsPerSecond, saturated, latencySeconds: saturated ? null : summary.latencySeconds };
    });
  return {
    scenario: spec.scenario,
    seed: spec.seed,
    requestsPerSecond: low,
    saturatedRequestsPerSecond: high,
    outputTokensPerSecond: best.throughput.outputTokensPerSecond,
    binding: best.capacity?.binding ?? null,
    trialSeconds,
    trials,
    wallSeconds: (wallNs() - startNs) / 1e9,
  };
}

/** The same server and requests under Poisson arrivals of so many per second, for so long. Throws InputError for another kind of workload. */
export function atRate(spec: RunSpec, requestsPerSecond: number, seconds: number): RunSpec {
  return withArrivals(spec, { kind: 'poisson', ratePerS: requestsPerSecond }, null, seconds);
}

async function enclose(
  around: number,
  saturatedAt: (rate: number) => Promise<boolean>,
): Promise<{ low: number; high: number }> {
  if (await saturatedAt(around)) {
    let high = around;
    for (let low = around / BRACKET; ; low /= BRACKET) {
      if (!(await saturatedAt(low))) return { low, high };
      high = low;
    }
  }
  let low = around;
  for (let high = around * BRACKET; ; high *= BRACKET) {
    if (await saturatedAt(high)) return { low, high };
    low = high;
  }
}

function isSaturated({ capacity }: RunSummary): boolean {
  return capacity?.saturated === true;
}

function closedLoop(spec: RunSpec): RunSpec {
  const concurrency = spec.engine.sequencesMax;
  const arrivals = { kind: 'closed-loop', concurrency, thinkTimeS: 0, thinkTimeCv: 0 } as const;
  return withArrivals(spec, arrivals, PROBE_ROUNDS * concurrency, null);
}

type Generated = Extract<RunSpec['workload'], { readonly kind: 'generated' }>;

function withArrivals(
  spec: RunSpec,
  arrivals: Generated['spec']['arrivals'],
  requests: number | null,
  durationS: number | null,
): RunSpec {
  const { workload } = spec;
  if (workload.kind !== 'generated') {
    throw new InputError(
      `${spec.scenario}: a ${workload.kind} workload has rates of its own; allowed: a generated workload of one kind of traffic`,
    );
  }
  return {
    ...spec,
    workload: { ...workload, spec: { ...workload.spec, arrivals, requests, durationS, timeoutS: null } },
    faults: [],
    targets: [],
    output: { directory: null, digest: 'records', decisionLogFile: null, verifyFile: null },
  };
}
