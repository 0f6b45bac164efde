import {
  type Backend,
  type BackendLimits,
  Engine,
  type EngineConfig,
  type EngineEvents,
  type EngineProfile,
  EventFanout,
  engineConfig,
  GREEDY,
  NO_SINK,
  PRIORITY,
  Request,
  type StepDone,
  type StepPlan,
  type StepResult,
  type StepStatus,
  StreamTokens,
  VirtualClock,
} from '../../src/core/index.ts';
import { DecisionLog } from '../../src/observability/decision-log.ts';
import type { LineSource } from '../../src/observability/decision-log-verifier.ts';
import { ListenerSlot } from '../../src/observability/timeline/index.ts';

export interface LoggedRequest {
  readonly arrivalNs: number;
  /** Requests of one stream share their prompts' beginning. */
  readonly stream: number;
  readonly promptTokens: number;
  readonly outputTokensMax: number;
  readonly n?: number;
  readonly priority?: number;
  readonly deadlineNs?: number;
}

export interface LoggedRunOptions {
  readonly profile?: EngineProfile;
  readonly config: Partial<EngineConfig>;
  readonly requests: readonly LoggedRequest[];
  /** Submissions that fail, by their number. */
  readonly failures?: ReadonlyMap<number, Exclude<StepStatus, 'ok'>>;
  /** Listens as well, from before the first request on. */
  readonly listener?: (engine: Engine) => EngineEvents;
}

/** What a plan held, read from the plan itself. */
export interface SeenStep {
  readonly step: number;
  readonly ns: number;
  readonly rows: readonly (readonly [id: string, tokens: number, drafts: number])[];
  readonly waiting: number;
}

export interface LoggedRun {
  readonly lines: readonly string[];
  readonly seen: readonly SeenStep[];
  readonly engine: Engine;
  readonly endNs: number;
}

const STEP_NS = 1000;
const STEPS_MAX = 10_000;

/**
 * Ends each submission after 1,000 ns, the second of two in flight 1,000 ns after the first. What is queued behind one that
 * fails is not run.
 */
class TimedBackend implements Backend {
  readonly limits: BackendLimits = {
    blocksTotal: 2 ** 28,
    hostBlocksTotal: 2 ** 28,
    stepsInFlightMax: 2,
    stepsMax: 64,
    impliedTokens: true,
    sameStepPrefixReads: true,
  };
  private readonly clock: VirtualClock;
  private readonly failures: ReadonlyMap<number, Exclude<StepStatus, 'ok'>>;
  private submissions = 0;
  private endNs = 0;
  /** The last submission that goes down with one that failed. */
  private lost = -1;

  constructor(clock: VirtualClock, failures: ReadonlyMap<number, Exclude<StepStatus, 'ok'>>) {
    this.clock = clock;
    this.failures = failures;
  }

  submit(plan: StepPlan, result: StepResult, done: StepDone): void {
    const number = this.submissions++;
    this.endNs = Math.max(this.endNs, this.clock.nowNs()) + STEP_NS;
    const end = () => {
      const status = this.failures.get(number) ?? (number <= this.lost ? 'transient' : null);
      if (status === null) {
        result.stepsRun = 1;
        result.durationsNs[0] = STEP_NS;
        for (let row = 0; row < plan.rows; row++) {
          const { request, outputTokens } = plan.sequences[row]!;
          result.acceptedDrafts[row] = (request.id * 7 + outputTokens) % (plan.draftTokens[row]! + 1);
        }
      } else {
        this.lost = this.submissions - 1;
        result.fail(status, 'asked for');
      }
      done.stepDone(plan, result);
    };
    this.clock.at(this.endNs, PRIORITY.stepDone, { run: end });
  }

  telemetry(): void {}

  close(): void {}
}

/** Runs requests through an engine that is logged, to its end. */
export function loggedRun(options: LoggedRunOptions): LoggedRun {
  const clock = new VirtualClock();
  const config = engineConfig(options.profile ?? 'twinfer', {
    watermarkRatio: 0,
    checkIntervalNs: 0,
    ...options.config,
  });
  const lines: string[] = [];
  const seen: SeenStep[] = [];
  const log = new DecisionLog((line) => lines.push(line));
  const slot = new ListenerSlot();
  const engine = new Engine({
    config,
    clock,
    backend: new TimedBackend(clock, options.failures ?? new Map()),
    events: new EventFanout([log, watcher(seen), slot]),
    singleSteps: true,
    proposer:
      config.speculation === null
        ? null
        : { propose: (sequence, draftsMax) => (sequence.request.id + sequence.outputTokens) % (draftsMax + 1) },
  });
  const { waiting, swapped } = engine.scheduler;
  log.attach({ head: () => swapped.peek() ?? waiting.peek() });
  slot.listener = options.listener?.(engine) ?? null;
  options.requests.forEach((each, id) => {
    const sampling = { ...GREEDY, n: each.n ?? 1 };
    const { arrivalNs, outputTokensMax, priority = 0 } = each;
    const timeoutNs = (each.deadlineNs ?? Number.POSITIVE_INFINITY) - arrivalNs;
    const run = () => {
      const prompt = new StreamTokens(each.promptTokens, each.stream);
      const request = new Request(id, arrivalNs, { prompt, outputTokensMax, sampling, priority, timeoutNs });
      engine.submit(request, NO_SINK);
    };
    clock.at(each.arrivalNs, PRIORITY.arrival, { run });
  });
  while (clock.armed > 0) {
    clock.run(clock.nextNs() + 1e6);
    if (seen.length > STEPS_MAX) throw new Error('the run does not end');
  }
  if (!engine.idle) throw new Error('requests are left');
  log.close();
  return { lines, seen, engine, endNs: clock.nowNs() };
}

function watcher(seen: SeenStep[]): EngineEvents {
  return {
    received() {},
    rejected() {},
    admitted() {},
    preempted() {},
    evicted() {},
    stepPlanned(plan, waiting, _swapped, _reason, ns) {
      const rows = Array.from({ length: plan.rows }, (_, row) => {
        const sequence = plan.sequences[row]!;
        const id = `${sequence.request.id}.${sequence.index}`;
        return [id, plan.newTokens[row]!, plan.draftTokens[row]!] as const;
      });
      seen.push({ step: plan.stepId, ns, rows, waiting });
    },
    hostPhase() {},
    stepFinished() {},
    tokenGap() {},
    finished() {},
  };
}

/** Lines of an array as a log's. */
export function lineSource(lines: readonly string[]): LineSource {
  let next = 0;
  return { next: () => lines[next++] ?? null };
}
