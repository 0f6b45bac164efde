import type { BatchLimits, TimingModel } from '../backends/simulated/index.ts';
import { InvariantError } from '../core/index.ts';
import { type CapacitySummary, capacitySummary } from './capacity-summary.ts';
import type { LatencySummary } from './latency-series.ts';
import {
  type ModelRegime,
  type PredictionSummary,
  predictionSummary,
  type ResidualBasis,
} from './prediction-summary.ts';
import type { RequestCounts } from './request-books.ts';
import type { RecordedRun } from './run-recorder.ts';
import { evaluateTargets, type Target, type TargetFigures, type TargetResult } from './targets.ts';

/** What the caller knows of a run and the recorder cannot. */
export interface RunContext {
  readonly scenario: string;
  readonly seed: number;
  /** From opening the trace to the last record, by the caller's clock. */
  readonly wallSeconds: number;
  /** Empty: the scenario states none. */
  readonly targets: readonly Target[];
  /** Mean over the run, 0 .. 1; null when the backend reported none. */
  readonly gpuComputeUtilization: number | null;
  readonly timing: TimingSummary;
  /** null: nobody asks how far the run is from what the server sustains, or what it predicts. */
  readonly server: ServerContext | null;
}

/** The server that a run simulates, as far as its limits and the worth of its times are concerned. */
export interface ServerContext {
  readonly limits: BatchLimits;
  /** Asked for other loads than the run had; null = it cannot tell. */
  readonly timing: TimingModel | null;
  readonly model: ModelRegime;
  readonly basis: ResidualBasis | null;
}

/** Where the run's times come from. */
export interface TimingSummary {
  readonly model: 'calibrated' | 'roofline';
  readonly device: string;
  /** What the engine adds to the kernels; the name of an engine, or `twinfer` or `none`. */
  readonly host: string;
  /** Parts of the model that lie outside of the measured tables, in words. */
  readonly extrapolations: readonly string[];
}

/**
 * The JSON document of a run: keys, order and units are stable and documented in docs/JSON.md. Latencies are null where
 * nothing was observed.
 */
export interface RunSummary {
  readonly scenario: string;
  readonly seed: number;
  readonly digest: string;
  readonly timing: TimingSummary;
  readonly wallSeconds: number;
  readonly simulatedSeconds: number;
  /** Ended requests per second of wall time: the simulator's own speed. */
  readonly requestsPerWallSecond: number;
  readonly steps: number;
  readonly sequenceSteps: number;
  readonly requests: RequestCounts;
  readonly tokens: {
    readonly prompt: number;
    readonly cachedPrompt: number;
    readonly recomputedPrompt: number;
    readonly scheduledPrompt: number;
    readonly output: number;
  };
  readonly latencySeconds: Readonly<Record<'ttft' | 'tpot' | 'itl' | 'e2e' | 'queue', LatencySummary>>;
  /** Over simulated time. Requests: completed ones. Total tokens: prompt (cached or not) and output. */
  readonly throughput: {
    readonly requestsPerSecond: number;
    readonly outputTokensPerSecond: number;
    readonly totalTokensPerSecond: number;
  };
  readonly kv: {
    readonly blocksTotal: number;
    readonly blocksUsedPeak: number;
    /** cachedPrompt / prompt; null when there was no prompt token. */
    readonly prefixHitRatio: number | null;
    readonly evictions: number;
  };
  readonly preemptions: { readonly memoryPressure: number; readonly priority: number };
  /** How far it is from saturation. */
  readonly capacity: CapacitySummary | null;
  /** Headline figures with 90 % intervals. */
  readonly prediction: PredictionSummary | null;
  readonly books: Books;
  /** Only where the scenario states targets. */
  readonly targets?: readonly TargetResult[];
}

/** The accounts behind `requests` and `tokens`; a document with books that do not balance is never made. */
export interface Books {
  readonly balanced: true;
  /** Generated tokens computed again after a preemption: not prompt tokens, so counted apart. */
  readonly recomputedOutput: number;
  /** Sequences that ended before their first token; none of this is in `tokens`. */
  readonly unfinishedPrompts: {
    readonly sequences: number;
    readonly prompt: number;
    readonly cachedPrompt: number;
    readonly recomputedPrompt: number;
    readonly scheduledPrompt: number;
  };
}

/**
 * Makes the document. Throws InvariantError when the books do not balance:
 *
 * - requests: injected = completed + rejected + aborted + timedOut + failed, so the run has ended;
 * - prompt tokens: scheduledPrompt = prompt - cachedPrompt + recomputedPrompt, of every sequence that delivered a token.
 *   A sequence that ended before (rejected, aborted while it waited or was prefilled) has scheduled only a part of its
 *   prompt: its tokens are in `books.unfinishedPrompts`, as far as they were scheduled.
 */
export function summarise(run: RecordedRun, context: RunContext): RunSummary {
  checkBooks(run);
  const { tokens, requests, kv, preemptions } = run;
  const seconds = run.simulatedNs / 1e9;
  const perSecond = (count: number): number => (seconds > 0 ? count / seconds : 0);
  const { server } = context;
  const capacity = server === null ? null : capacitySummary(run, server.limits, server.timing);
  const figures: Omit<RunSummary, 'capacity' | 'prediction' | 'books' | 'targets'> = {
    scenario: context.scenario,
    seed: context.seed,
    digest: run.digest,
    timing: context.timing,
    wallSeconds: context.wallSeconds,
    simulatedSeconds: seconds,
    requestsPerWallSecond: context.wallSeconds > 0 ? requests.injected / context.wallSeconds : 0,
    steps: run.steps,
    sequenceSteps: run.sequenceSteps,
    requests,
    tokens: {
      prompt: tokens.prompt,
      cachedPrompt: tokens.cachedPrompt,
      recomputedPrompt: tokens.recomputedPrompt,
      scheduledPrompt: tokens.scheduledPrompt,
      output: tokens.output,
    },
    latencySeconds: latencies(run),
    throughput: {
      requestsPerSecond: perSecond(requests.completed),
      outputTokensPerSecond: perSecond(tokens.output),
      totalTokensPerSecond: perSecond(tokens.prompt + tokens.output),
    },
    kv: {
      blocksTotal: kv.blocksTotal,
      blocksUsedPeak: kv.blocksUsedPeak,
      prefixHitRatio: tokens.prompt > 0 ? tokens.cachedPrompt / tokens.prompt : null,
      evictions: kv.evictions,
    },
    preemptions: { memoryPressure: preemptions.memoryPressure, priority: preemptions.priority },
  };
  const summary: RunSummary = {
    ...figures,
    capacity,
    prediction:
      capacity === null
        ? null
        : predictionSummary(figures, capacity, firstTimePrompts(run, server!.limits), server!.model, server!.basis),
    books: {
      balanced: true,
      recomputedOutput: tokens.recomputedOutput,
      unfinishedPrompts: tokens.unfinishedPrompts,
    },
  };
  if (context.targets.length === 0) return summary;
  return { ...summary, targets: evaluateTargets(context.targets, summary, targetFigures(run, context)) };
}

/** A prompt that was sent before leaves less than a block to compute: where the mean leaves more, some were new. */
function firstTimePrompts({ tokens, requests }: RecordedRun, { blockSize }: BatchLimits): boolean {
  return tokens.scheduledPrompt - tokens.recomputedPrompt > blockSize * requests.completed;
}

function latencies({ latencyNs }: RecordedRun): RunSummary['latencySeconds'] {
  return {
    ttft: inSeconds(latencyNs.ttft),
    tpot: inSeconds(latencyNs.tpot),
    itl: inSeconds(latencyNs.itl),
    e2e: inSeconds(latencyNs.e2e),
    queue: inSeconds(latencyNs.queue),
  };
}

function targetFigures(run: RecordedRun, context: RunContext): TargetFigures {
  return {
    schedulerIterationSeconds: inSeconds(run.latencyNs.schedulerIteration),
    schedulerAllocationSeconds: inSeconds(run.latencyNs.schedulerAllocation),
    blocksUsedMean: run.kv.blocksUsedMean,
    proposedDrafts: run.tokens.proposedDrafts,
    acceptedDrafts: run.tokens.acceptedDrafts,
    gpuComputeUtilization: context.gpuComputeUtilization,
  };
}

function checkBooks(run: RecordedRun): void {
  const { injected, completed, rejected, aborted, timedOut, failed } = run.requests;
  const ended = completed + rejected + aborted + timedOut + failed;
  if (injected !== ended) {
    throw new InvariantError(
      'every request ends once',
      `${injected} injected, but ${ended} ended: ` +
        `${completed} completed, ${rejected} rejected, ${aborted} aborted, ${timedOut} timed out, ${failed} failed`,
    );
  }
  const { prompt, cachedPrompt, recomputedPrompt, scheduledPrompt, lawBreakers, firstLawBreaker } = run.tokens;
  if (lawBreakers > 0 || scheduledPrompt !== prompt - cachedPrompt + recomputedPrompt) {
    throw new InvariantError(
      'no prompt token is lost',
      `${scheduledPrompt} scheduled, but ${prompt} prompt - ${cachedPrompt} cached + ${recomputedPrompt} recomputed = ` +
        `${prompt - cachedPrompt + recomputedPrompt}; ${lawBreakers} sequences, the first of request ${firstLawBreaker}`,
    );
  }
}

function inSeconds(ns: LatencySummary): LatencySummary {
  const seconds = (value: number | null): number | null => (value === null ? null : value / 1e9);
  return {
    mean: seconds(ns.mean),
    p50: seconds(ns.p50),
    p90: seconds(ns.p90),
    p95: seconds(ns.p95),
    p99: seconds(ns.p99),
    max: seconds(ns.max),
  };
}
