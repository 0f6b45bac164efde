import {
  AcceptanceProcess,
  catalogueModel,
  type DeviceFault,
  FaultSchedule,
  FixedProposer,
  H100_SXM,
  type MemoryPlan,
  ModelledHostTimer,
  RooflineTimingModel,
  SimulatedBackend,
} from '../../src/backends/simulated/index.ts';
import {
  CounterRng,
  Engine,
  type EngineConfig,
  type EngineProfile,
  engineConfig,
  GREEDY,
  type HostTimer,
  NO_SINK,
  PRIORITY,
  Request,
  StreamTokens,
  type TokenSink,
  VirtualClock,
} from '../../src/core/index.ts';
import { createMetricsPage, EngineMetrics, type MetricsPage } from '../../src/observability/index.ts';
import { MetricsSnapshot } from '../../src/observability/metrics-snapshot.ts';

const TIMING = new RooflineTimingModel(catalogueModel('meta-llama/Llama-3.1-8B-Instruct'), H100_SXM, 16, {
  tensorParallel: 1,
  tokensPerStepMax: 2048,
});
const GIB = 2 ** 30;

export interface MeteredRequest {
  readonly arrivalNs: number;
  /** Requests of one stream share their prompts' beginning. */
  readonly stream: number;
  readonly promptTokens: number;
  readonly outputTokensMax: number;
  readonly n?: number;
  readonly priority?: number;
  readonly deadlineNs?: number;
  readonly abortNs?: number;
}

export interface MeteredRunOptions {
  readonly profile?: EngineProfile;
  readonly config?: Partial<EngineConfig>;
  readonly requests: readonly MeteredRequest[];
  readonly faults?: readonly DeviceFault[];
  /** Time between two samples. */
  readonly sampleNs?: number;
  /** Runs of decode steps in one submission. */
  readonly runs?: boolean;
  readonly hostTimer?: HostTimer;
  /** Where all requests' tokens go. */
  readonly sink?: TokenSink;
  /** Called before anything runs. */
  readonly made?: (page: MetricsPage, engine: Engine) => void;
  readonly seen?: (snapshot: MetricsSnapshot, engine: Engine) => void;
}

/** An engine on the simulated device whose metrics are kept, run to its end. Returns the last snapshot and the engine. */
export function meteredRun(options: MeteredRunOptions) {
  const clock = new VirtualClock();
  const config = engineConfig(options.profile ?? 'twinfer', {
    blocksTotal: 96,
    sequencesMax: 8,
    tokensPerStepMax: 256,
    modelLenMax: 1024,
    checkIntervalNs: 0,
    ...options.config,
  });
  const memory: MemoryPlan = {
    totalBytes: 80 * GIB,
    budgetBytes: 72 * GIB,
    weightBytes: 16 * GIB,
    activationBytes: GIB,
    runtimeBytes: GIB,
    blockBytes: 2 ** 21,
    kvBytes: config.blocksTotal * 2 ** 21,
    blocksTotal: config.blocksTotal,
    hostBlocksTotal: config.hostBlocksTotal,
  };
  const drafts = config.speculation;
  const backend = new SimulatedBackend({
    clock,
    device: H100_SXM,
    tensorParallel: 1,
    memory,
    timing: TIMING,
    stepsInFlight: config.stepsInFlight,
    stepsMax: options.runs === false ? 1 : 64,
    acceptance:
      drafts === null ? null : new AcceptanceProcess(new CounterRng(7), Array(drafts.draftTokensMax).fill(0.6)),
    faults: options.faults === undefined ? null : new FaultSchedule(options.faults),
  });
  const page = createMetricsPage();
  const metrics = new EngineMetrics(page, { config, backend, labels: { backend: 'simulator', model: 'm' } });
  const engine = new Engine({
    config,
    clock,
    backend,
    events: metrics,
    hostTimer: options.hostTimer ?? new ModelledHostTimer(),
    proposer: drafts === null ? null : new FixedProposer(),
  });
  metrics.attach(engine);
  options.made?.(page, engine);
  const snapshot = new MetricsSnapshot();
  arrange(options, engine, clock);
  const sampleNs = options.sampleNs ?? 20e6;
  while (clock.armed > 0) {
    clock.run(clock.nowNs() + sampleNs < clock.nextNs() ? clock.nextNs() : clock.nowNs() + sampleNs);
    metrics.sample(clock.nowNs());
    snapshot.take(page);
    options.seen?.(snapshot, engine);
  }
  metrics.sample(clock.nowNs());
  snapshot.take(page);
  return { snapshot, engine, page, metrics };
}

function arrange(options: MeteredRunOptions, engine: Engine, clock: VirtualClock): void {
  options.requests.forEach((each, id) => {
    const prompt = new StreamTokens(each.promptTokens, each.stream);
    const sampling = { ...GREEDY, n: each.n ?? 1 };
    const { arrivalNs, outputTokensMax, priority = 0 } = each;
    const timeoutNs = (each.deadlineNs ?? Number.POSITIVE_INFINITY) - arrivalNs;
    const run = () => {
      engine.submit(
        new Request(id, arrivalNs, { prompt, outputTokensMax, sampling, priority, timeoutNs }),
        options.sink ?? NO_SINK,
      );
    };
    clock.at(arrivalNs, PRIORITY.arrival, { run });
    if (each.abortNs !== undefined) clock.at(each.abortNs, PRIORITY.deadline, { run: () => engine.abort(id) });
  });
}
