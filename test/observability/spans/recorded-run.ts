import {
  AcceptanceProcess,
  catalogueModel,
  type DeviceFault,
  FaultSchedule,
  FixedProposer,
  H100_SXM,
  ModelledHostTimer,
  RooflineTimingModel,
  SimulatedBackend,
} from '../../../src/backends/simulated/index.ts';
import {
  Engine,
  type EngineConfig,
  type EngineProfile,
  engineConfig,
  GREEDY,
  NO_SINK,
  PRIORITY,
  Request,
  StreamTokens,
  VirtualClock,
} from '../../../src/core/index.ts';
import { CounterRng } from '../../../src/core/rng.ts';
import { type SequenceRecord, SpanRecorder } from '../../../src/observability/spans/index.ts';

const GIB = 2 ** 30;
const TIMING = new RooflineTimingModel(catalogueModel('llama-3.1-8b'), H100_SXM, 16, {
  tensorParallel: 1,
  tokensPerStepMax: 2048,
});

export interface RecordedRequest {
  readonly arrivalNs?: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Requests of one stream share their prompts' beginning. */
  readonly stream?: number;
  readonly n?: number;
  readonly abortNs?: number;
  readonly deadlineNs?: number;
}

export interface RecordedRun {
  readonly records: SequenceRecord[];
  readonly recorder: SpanRecorder;
  readonly engine: Engine;
}

/** Runs requests on the simulated device and returns what the recorder says of them, in the order of their ends. */
export function recordedRun(
  requests: readonly RecordedRequest[],
  options: {
    readonly profile?: EngineProfile;
    readonly config?: Partial<EngineConfig>;
    readonly runs?: boolean;
    readonly faults?: readonly DeviceFault[];
  } = {},
): RecordedRun {
  const clock = new VirtualClock();
  const config = engineConfig(options.profile ?? 'twinfer', {
    blocksTotal: 4096,
    sequencesMax: 64,
    tokensPerStepMax: 2048,
    modelLenMax: 4096,
    checkIntervalNs: 0,
    ...options.config,
  });
  const drafts = config.speculation;
  const backend = new SimulatedBackend({
    clock,
    device: H100_SXM,
    tensorParallel: 1,
    memory: {
      totalBytes: 80 * GIB,
      budgetBytes: 72 * GIB,
      weightBytes: 16 * GIB,
      activationBytes: GIB,
      runtimeBytes: GIB,
      blockBytes: 2 ** 21,
      kvBytes: config.blocksTotal * 2 ** 21,
      blocksTotal: config.blocksTotal,
      hostBlocksTotal: config.hostBlocksTotal,
    },
    timing: TIMING,
    stepsInFlight: config.stepsInFlight,
    stepsMax: options.runs === false ? 1 : 64,
    acceptance:
      drafts === null ? null : new AcceptanceProcess(new CounterRng(7), Array(drafts.draftTokensMax).fill(0.6)),
    faults: options.faults === undefined ? null : new FaultSchedule(options.faults),
  });
  const records: SequenceRecord[] = [];
  const recorder = new SpanRecorder({ config, emit: (record) => records.push(record) });
  const proposer = drafts === null ? null : new FixedProposer();
  const engine = new Engine({ config, clock, backend, proposer, events: recorder, hostTimer: new ModelledHostTimer() });
  recorder.attach(engine);
  requests.forEach((each, id) => {
    const prompt = new StreamTokens(each.promptTokens, each.stream ?? id + 1);
    const arrivalNs = each.arrivalNs ?? 0;
    const sampling = { ...GREEDY, n: each.n ?? 1 };
    const timeoutNs = (each.deadlineNs ?? Number.POSITIVE_INFINITY) - arrivalNs;
    const request = new Request(id, arrivalNs, { prompt, outputTokensMax: each.outputTokens, sampling, timeoutNs });
    clock.at(arrivalNs, PRIORITY.arrival, { run: () => void engine.submit(request, NO_SINK) });
    if (each.abortNs !== undefined) clock.at(each.abortNs, PRIORITY.deadline, { run: () => void engine.abort(id) });
  });
  clock.run();
  recorder.flush();
  return { records, recorder, engine };
}
