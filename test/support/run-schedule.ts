import {
  CounterRng,
  type DraftProposer,
  Engine,
  type EngineConfig,
  engineConfig,
  type FinishReason,
  NgramProposer,
  NONE,
  PRIORITY,
  RNG_STREAM,
  type Sequence,
  type StepStatus,
  type TokenSink,
  VirtualClock,
} from '../../src/core/index.ts';
import { CoverageCounts } from './coverage-counts.ts';
import { GuessingProposer } from './guessing-proposer.ts';
import { MemoryTrueBackend, type MemoryTrueOptions } from './memory-true-backend.ts';
import type { ProposerKind, Schedule } from './schedule.ts';
import { ScheduleEvents } from './schedule-events.ts';
import { type PreparedRequest, prepareRequests } from './schedule-requests.ts';

/** What a run may be told beside its schedule: negative controls break something here. */
export interface RunOptions {
  readonly backend?: new (options: MemoryTrueOptions) => MemoryTrueBackend;
  readonly proposer?: (kind: ProposerKind) => DraftProposer;
  /** Called with the engine before the first request. */
  readonly tamper?: (engine: Engine) => void;
  readonly changes?: Partial<EngineConfig>;
}

/** What a caller got of one sequence. */
export interface Received {
  readonly request: number;
  readonly index: number;
  readonly tokens: number[];
  reason: FinishReason | null;
}

export interface RunOutcome {
  readonly prepared: readonly PreparedRequest[];
  readonly received: readonly Received[];
  readonly engine: Engine;
  readonly counts: CoverageCounts;
  /** Every event in order, one a line: equal for equal runs. */
  readonly log: string;
}

/** Submissions after which a schedule (a few thousand tokens at most) is not slow but stuck. */
const SUBMISSIONS_MAX = 20_000;

/** Runs a schedule to its end on the memory-true backend and a virtual clock. */
export function runSchedule(schedule: Schedule, options: RunOptions = {}): RunOutcome {
  const config = engineConfig(schedule.profile, { eosTokenIds: [2], ...schedule.changes, ...options.changes });
  const clock = new VirtualClock();
  const rng = new CounterRng(schedule.seed);
  const Backend = options.backend ?? MemoryTrueBackend;
  const backend: MemoryTrueBackend = new Backend({
    clock,
    model: schedule.model,
    blockSize: config.blockSize,
    blocksTotal: config.blocksTotal,
    hostBlocksTotal: config.hostBlocksTotal,
    sequencesMax: config.sequencesMax,
    copiesAhead: schedule.copiesAhead,
    sameStepPrefixReads: config.pendingPrefixHits,
    durationNs: (stepId) => {
      if (backend.submissions > SUBMISSIONS_MAX) throw new Error(`no end after ${SUBMISSIONS_MAX} submissions`);
      return 1 + Math.floor(rng.draw(RNG_STREAM.duration, 0, stepId) * schedule.durationNsMax);
    },
    fault: (stepId) => faultOf(schedule, rng.draw(RNG_STREAM.fault, 0, stepId)),
  });
  const counts = new CoverageCounts();
  const events = new ScheduleEvents(counts);
  const proposer = config.speculation === null ? null : makeProposer(schedule);
  const engine = new Engine({ config, backend, clock, events, proposer });
  events.watch(engine);
  options.tamper?.(engine);
  const prepared = prepareRequests(schedule);
  const received: Received[] = [];
  for (const one of prepared) arrange(one, engine, clock, received, events);
  clock.run();
  counts.schedules = 1;
  counts.blocksCopied = backend.copied;
  counts.blocksSwappedIn = backend.swappedIn;
  counts.failedSteps = engine.totals.failedSubmissions;
  counts.steps = engine.totals.steps;
  counts.outputTokens = engine.totals.outputTokens;
  counts.draftsAccepted = engine.scheduler.speculation?.accepted ?? 0;
  counts.draftsRejected = engine.scheduler.speculation?.rejected ?? 0;
  counts.draftsProposed = engine.scheduler.speculation?.proposed ?? 0;
  return { prepared, received, engine, counts, log: events.lines.join('\n') };
}

function makeProposer(schedule: Schedule): DraftProposer {
  if (schedule.proposer === 'guesses') return new GuessingProposer(schedule.model, schedule.seed);
  return new NgramProposer({ ngramMin: 1, ngramMax: 3, modelLenMax: schedule.changes.modelLenMax! });
}

function faultOf(schedule: Schedule, draw: number): Exclude<StepStatus, 'ok'> | null {
  const perMille = draw * 1000;
  const { transientPerMille, stickyPerMille, deviceLostPerMille } = schedule;
  if (perMille < transientPerMille) return 'transient';
  if (perMille < transientPerMille + stickyPerMille) return 'sticky';
  return perMille < transientPerMille + stickyPerMille + deviceLostPerMille ? 'device-lost' : null;
}

/** Arms everything that the request's caller will do. */
function arrange(
  one: PreparedRequest,
  engine: Engine,
  clock: VirtualClock,
  received: Received[],
  events: ScheduleEvents,
): void {
  const { spec, request } = one;
  const own: Received[] = [];
  for (let index = 0; index < spec.n; index++) own.push({ request: request.id, index, tokens: [], reason: null });
  received.push(...own);
  const sink = new RecordingSink(own);
  clock.at(spec.arrivalNs, PRIORITY.arrival, { run: () => void engine.submit(request, sink) });
  if (spec.abortNs !== null) {
    clock.at(spec.arrivalNs + spec.abortNs, PRIORITY.arrival, {
      run(nowNs) {
        events.abortAsked(request.id);
        engine.abort(request.id);
        engine.check(nowNs);
      },
    });
  }
  if (spec.finishNs !== null) {
    clock.at(spec.arrivalNs + spec.finishNs, PRIORITY.arrival, {
      run(nowNs) {
        const first = own[0]!;
        const kept = Math.max(0, first.tokens.length - 1);
        if (first.reason !== null || first.tokens.length === 0 || !engine.finish(request.id, 0, kept)) return;
        events.stopStringFound();
        engine.check(nowNs);
      },
    });
  }
}

/** What a caller sees: tokens in order without gaps, then exactly one reason. */
class RecordingSink implements TokenSink {
  private readonly received: readonly Received[];

  constructor(received: readonly Received[]) {
    this.received = received;
  }

  tokens(sequence: Sequence, from: number, count: number): void {
    const own = this.received[sequence.index]!;
    if (own.reason !== null) throw new Error(`${name(own)} got tokens after its end as ${own.reason}`);
    if (from !== own.tokens.length || count < 1) {
      throw new Error(`${name(own)} has ${own.tokens.length} tokens and got ${count} from ${from}`);
    }
    for (let i = 0; i < count; i++) own.tokens.push(sequence.output![from + i]!);
  }

  finished(sequence: Sequence, reason: FinishReason): void {
    const own = this.received[sequence.index]!;
    if (own.reason !== null) throw new Error(`${name(own)} ended as ${own.reason} and again as ${reason}`);
    own.reason = reason;
    // A stop string takes back what was streamed behind it.
    own.tokens.length = Math.min(own.tokens.length, sequence.outputTokens);
    if (sequence.slot !== NONE && reason === 'rejected') throw new Error(`${name(own)} was rejected with a slot`);
  }
}

export function name(own: Received): string {
  return `request ${own.request}.${own.index}`;
}
