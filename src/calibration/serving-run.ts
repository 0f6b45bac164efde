import {
  catalogueModel,
  DeviceOperators,
  type DeviceProfile,
  deviceSpec,
  type EngineHostProfile,
  type MemoryPlan,
  type ModelShape,
  type PredictionRegime,
  planMemory,
  type TimingModel,
} from '../backends/simulated/index.ts';
import { type Engine, PRIORITY, Request, type Sequence, type TokenSink, type VirtualClock } from '../core/index.ts';
import type { Frontend } from '../simulation/frontend.ts';
import { exponential, uniformSource } from '../simulation/random.ts';
import { type PromptSource, sharedPrefixPrompts } from '../simulation/shared-prefix.ts';
import type { MeasuredRun, StageLatencies } from './serving-measurement.ts';
import { SimulatedServer } from './simulated-server.ts';
import { stageRegime } from './stage-regime.ts';
import { WeightedTimes } from './weighted-times.ts';

/**
 * Prompts are longer than their parts: inference-perf decodes random token ids to text, which encodes to more. 591.6 tokens for 100 + 466
 * and 785.8 for 150 + 600 were counted (inference-sim/training, Llama-2-70B and 7B).
 */
const RETOKENISED = 1.046;
/** Half the spread of prompt lengths over users, tokens: 99 % lie within 12 of the median there. */
const PROMPT_SPREAD_TOKENS = 12;
/** vLLM's `gpu_memory_utilization`. */
const UTILIZATION = 0.9;
const BLOCK_SIZE = 16;

/** A run through the engine. */
export interface PredictedStage {
  readonly latencies: StageLatencies;
  readonly requests: number;
  /** Requests whose prompt nobody had sent before. */
  readonly coldRequests: number;
  readonly preemptions: number;
  /** More requests wait at the end of the stage's arrivals than a full batch: the queue grew. */
  readonly saturated: boolean;
  readonly regime: PredictionRegime;
}

export interface ServingRunOptions {
  readonly seed: number;
  /** Independent servers and loads, whose requests count together; 1 unless told. */
  readonly replicates?: number;
  /**
   * Share of their durations that stages are run, in (0, 1]. Below 1 a stage stands for the whole: requests after the first-time prompts and
   * `SETTLING_SECONDS` more weigh as much as all that they stand for.
   */
  readonly share: number;
}

/** How stages are run to be compared: few requests, most of all those of the first seconds, decide the percentiles. */
const REPLICATED = { replicates: 5, share: 0.2 };
/** Share of the rate that a configuration sustains above which a stage is run as long as it was measured: its queue may grow. */
const LOAD_REPLICATED_MAX = 0.9;

/** After the last first-time prompt: until what it held up has drained. */
const SETTLING_SECONDS = 10;
/** A shortened stage has at least this many requests that weigh more. */
const STEADY_REQUESTS_MIN = 150;

/** What depends on model and device alone: made once, run often. */
export class ServingTarget {
  readonly run: MeasuredRun;
  readonly model: ModelShape;
  readonly operators: DeviceOperators;
  readonly memory: MemoryPlan;
  readonly profile: DeviceProfile;
  readonly blockSize = BLOCK_SIZE;
  /** Mean length of the prompts as the server counts them. */
  readonly promptTokens: number;

  /** Throws ModelError for a model that nobody knows, MemoryError for one that does not fit. */
  constructor(run: MeasuredRun, profile: DeviceProfile) {
    this.run = run;
    this.profile = profile;
    this.promptTokens = Math.round(run.promptTokensMean ?? (run.systemPromptTokens + run.questionTokens) * RETOKENISED);
    this.model = catalogueModel(run.model, run.fp8 ? { weights: 'fp8' } : {});
    const sizes = {
      tensorParallel: run.tensorParallel,
      tokensPerStepMax: run.tokensPerStepMax,
      sequencesMax: run.sequencesMax,
    };
    this.operators = new DeviceOperators(profile, this.model, sizes);
    this.memory = planMemory(this.model, deviceSpec(profile.device), {
      ...sizes,
      blockSize: BLOCK_SIZE,
      gpuMemoryUtilization: run.gpuMemoryUtilization ?? UTILIZATION,
      hostSwapBytes: 0,
      blocksOverride: run.blocksTotal,
    });
  }
}

/** What the client saw of a stage. */
interface StageRun {
  readonly ttft: WeightedTimes;
  readonly e2e: WeightedTimes;
  readonly prediction: Omit<PredictedStage, 'latencies'>;
}

/** Runs all stages on one server, the first on a cold cache; on as many as there are replicates. Pure. */
export function predictStages(
  target: ServingTarget,
  host: EngineHostProfile,
  { seed, replicates = 1, share }: ServingRunOptions,
): PredictedStage[] {
  const { stages } = target.run;
  const runs = Array.from({ length: replicates }, (_, replicate) => {
    const client = new Client(target, host, replicate === 0 ? seed : `${seed}/${replicate}`);
    return stages.map((stage) => client.stage(stage.ratePerSecond, stage.durationSeconds, share));
  });
  return stages.map((_, stage) =>
    together(
      runs.map((stages) => stages[stage]!),
      target.run.outputTokens,
    ),
  );
}

/** The same for comparison with what was measured. */
export function comparableStages(target: ServingTarget, host: EngineHostProfile, seed: number): PredictedStage[] {
  const stages = predictStages(target, host, { seed, ...REPLICATED });
  const near = stages.some(({ regime }) => regime.load > LOAD_REPLICATED_MAX);
  return near ? predictStages(target, host, { seed, share: 1 }) : stages;
}

/** One stage of all replicates. */
function together(runs: readonly StageRun[], outputTokens: number): PredictedStage {
  const ttft = new WeightedTimes();
  const e2e = new WeightedTimes();
  for (const run of runs) {
    ttft.addAll(run.ttft);
    e2e.addAll(run.e2e);
  }
  const sum = (of: (run: StageRun['prediction']) => number) =>
    runs.reduce((total, run) => total + of(run.prediction), 0);
  return {
    latencies: latenciesOf(ttft, e2e, outputTokens),
    requests: sum(({ requests }) => requests),
    coldRequests: sum(({ coldRequests }) => coldRequests),
    preemptions: sum(({ preemptions }) => preemptions),
    saturated: 2 * sum(({ saturated }) => (saturated ? 1 : 0)) > runs.length,
    regime: runs[0]!.prediction.regime,
  };
}

/** The load generator: sends, and notes when first and last tokens reach it. */
class Client implements TokenSink {
  private readonly target: ServingTarget;
  private readonly frontend: Frontend;
  private readonly seed: number | string;
  private readonly clock: VirtualClock;
  private readonly engine: Engine;
  private readonly prompts: PromptSource;
  private readonly users: number;
  private readonly steady: TimingModel;
  private sent = 0;
  private running = 0;
  private sentNs: number[] = [];
  private ttft = new WeightedTimes();
  private e2e = new WeightedTimes();
  /** Requests from this one on weigh `steadyWeight`. */
  private steadyFrom = 0;
  private steadyWeight = 1;
  private preemptions = 0;
  private stages = 0;

  constructor(target: ServingTarget, host: EngineHostProfile, seed: number | string) {
    const { run } = target;
    this.target = target;
    this.seed = seed;
    this.users = run.groups * run.usersPerGroup;
    const server = new SimulatedServer({ ...target, ...run, repository: run.model, model: target.model }, host, seed);
    this.clock = server.clock;
    this.engine = server.engine;
    this.frontend = server.frontend;
    this.steady = server.steady;
    this.prompts = promptsOf(target, seed);
  }

  stage(ratePerSecond: number, seconds: number, share: number): StageRun {
    const { clock } = this;
    const all = Math.max(1, Math.round(ratePerSecond * seconds));
    const sentBefore = this.sent;
    const cold = Math.max(0, Math.min(this.users, sentBefore + all) - sentBefore);
    const unsettled = Math.min(all, cold + (cold > 0 ? Math.round(ratePerSecond * SETTLING_SECONDS) : 0));
    const requests =
      share === 1
        ? all
        : Math.min(all, unsettled + Math.max(STEADY_REQUESTS_MIN, Math.round(share * (all - unsettled))));
    this.steadyFrom = sentBefore + unsettled;
    this.steadyWeight = requests === all ? 1 : (all - unsettled) / (requests - unsettled);
    this.ttft = new WeightedTimes();
    this.e2e = new WeightedTimes();
    this.preemptions = 0;
    const endNs = this.arm(requests, (seconds * requests) / all);
    clock.run(endNs);
    const { sequencesMax } = this.target.run;
    const saturated = this.running > 2 * sequencesMax;
    while (clock.armed > 0) clock.run(clock.nextNs() + 10e9);
    this.engine.check(clock.nowNs());
    const { ttft, e2e, preemptions } = this;
    const regime = stageRegime(this.target, this.steady, ratePerSecond, all, cold);
    return { ttft, e2e, prediction: { requests, coldRequests: cold, preemptions, saturated, regime } };
  }

  tokens(sequence: Sequence, from: number): void {
    if (from > 0) return;
    const id = sequence.request.id as number;
    const ns = this.clock.nowNs() - this.sentNs[id]! + this.frontend.firstTokenNs(this.running);
    this.ttft.add(ns, this.weight(id));
  }

  finished(sequence: Sequence): void {
    const id = sequence.request.id as number;
    this.running--;
    this.preemptions += sequence.preemptions;
    this.e2e.add(this.clock.nowNs() - this.sentNs[id]! + this.frontend.endNs, this.weight(id));
  }

  private weight(request: number): number {
    return request < this.steadyFrom ? 1 : this.steadyWeight;
  }

  /** Exponential intervals, scaled so that they fill the stage (inference-perf, load_timer.py). Returns the end of the stage. */
  private arm(requests: number, seconds: number): number {
    const { clock, frontend } = this;
    const uniform = uniformSource(this.seed, `arrivals of stage ${this.stages++}`);
    const intervals = Array.from({ length: requests }, () => exponential(uniform));
    const scale = (seconds * 1e9) / intervals.reduce((a, b) => a + b, 0);
    const startNs = clock.nowNs();
    let atNs = 0;
    for (const interval of intervals) {
      atNs += interval * scale;
      const id = this.sent++;
      const sentNs = Math.round(startNs + atNs);
      this.sentNs.push(sentNs);
      const prompt = this.prompts.next();
      const inEngineNs = sentNs + frontend.requestNs(prompt.length);
      const outputTokens = this.prompts.outputTokens;
      clock.at(inEngineNs, PRIORITY.arrival, {
        run: (nowNs) => {
          this.running++;
          this.engine.submit(new Request(id, nowNs, { prompt, outputTokensMax: outputTokens }), this);
        },
      });
    }
    return startNs + Math.ceil(seconds * 1e9);
  }
}

function promptsOf({ run, promptTokens }: ServingTarget, seed: number | string): PromptSource {
  const question = promptTokens - run.systemPromptTokens;
  return sharedPrefixPrompts(
    {
      kind: 'shared-prefix',
      groups: run.groups,
      usersPerGroup: run.usersPerGroup,
      systemPromptTokens: run.systemPromptTokens,
      questionTokens: {
        kind: 'uniform',
        tokensMin: question - PROMPT_SPREAD_TOKENS,
        tokensMax: question + PROMPT_SPREAD_TOKENS,
      },
      outputTokens: { kind: 'fixed', tokens: run.outputTokens },
      history: 'repeat',
      historyTokensMax: 0,
    },
    seed,
  );
}

function latenciesOf(ttft: WeightedTimes, e2e: WeightedTimes, outputTokens: number): StageLatencies {
  const ttftMean = ttft.mean() / 1e6;
  const e2eMean = e2e.mean() / 1e6;
  return {
    e2eMean,
    e2eP99: e2e.percentile(0.99) / 1e6,
    ttftMean,
    ttftP90: ttft.percentile(0.9) / 1e6,
    ttftP99: ttft.percentile(0.99) / 1e6,
    tpotMean: (e2eMean - ttftMean) / (outputTokens - 1),
  };
}
