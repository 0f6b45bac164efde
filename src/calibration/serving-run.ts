import {
  catalogueModel,
  DeviceOperators,
  type DeviceProfile,
  deviceSpec,
  type EngineHostProfile,
  engineTiming,
  type MemoryPlan,
  type ModelShape,
  planMemory,
  SimulatedBackend,
  samplesWithFilters,
} from '../backends/simulated/index.ts';
import { Engine, engineConfig, PRIORITY, Request, type Sequence, type TokenSink, VirtualClock } from '../core/index.ts';
import { Frontend } from '../simulation/frontend.ts';
import { exponential, uniformSource } from '../simulation/random.ts';
import { type PromptSource, sharedPrefixPrompts } from '../simulation/shared-prefix.ts';
import type { MeasuredRun, StageLatencies } from './serving-measurement.ts';

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
}

export interface ServingRunOptions {
  readonly seed: number;
  /** Share of its duration that the first stage, on a cold server, is run, in (0, 1]; below 1 first-time prompts weigh more. */
  readonly coldShare: number;
  /** The same of later stages. */
  readonly warmShare: number;
}

/** What depends on model and device alone: made once, run often. */
export class ServingTarget {
  readonly run: MeasuredRun;
  readonly model: ModelShape;
  readonly operators: DeviceOperators;
  readonly memory: MemoryPlan;
  readonly profile: DeviceProfile;

  /** Throws ModelError for a model that nobody knows, MemoryError for one that does not fit. */
  constructor(run: MeasuredRun, profile: DeviceProfile) {
    this.run = run;
    this.profile = profile;
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

/** Runs all stages on one server, the first on a cold cache. Pure. */
export function predictStages(
  target: ServingTarget,
  host: EngineHostProfile,
  options: ServingRunOptions,
): PredictedStage[] {
  const client = new Client(target, host, options);
  return target.run.stages.map((stage, index) =>
    client.stage(stage.ratePerSecond, stage.durationSeconds * (index === 0 ? options.coldShare : options.warmShare)),
  );
}

/** The load generator: sends, and notes when first and last tokens reach it. */
class Client implements TokenSink {
  private readonly target: ServingTarget;
  private readonly frontend: Frontend;
  private readonly seed: number;
  private readonly clock = new VirtualClock();
  private readonly engine: Engine;
  private readonly prompts: PromptSource;
  private readonly users: number;
  private sent = 0;
  private running = 0;
  private sentNs: number[] = [];
  private ttftNs: number[] = [];
  private e2eNs: number[] = [];
  private preemptions = 0;
  private stages = 0;

  constructor(target: ServingTarget, host: EngineHostProfile, { seed }: ServingRunOptions) {
    const { run, profile, memory, operators } = target;
    this.target = target;
    this.frontend = new Frontend(host);
    this.seed = seed;
    this.users = run.groups * run.usersPerGroup;
    const device = deviceSpec(profile.device);
    const source = { profile, host, samplingFilters: samplesWithFilters(run.model), schedulerCosts: false };
    const { timing } = engineTiming(source, target.model, device, {
      tensorParallel: run.tensorParallel,
      blockSize: BLOCK_SIZE,
      tokensPerStepMax: run.tokensPerStepMax,
      sequencesMax: run.sequencesMax,
      operators,
    });
    const config = engineConfig('vllm-v1', {
      blockSize: BLOCK_SIZE,
      blocksTotal: memory.blocksTotal,
      sequencesMax: run.sequencesMax,
      tokensPerStepMax: run.tokensPerStepMax,
      modelLenMax: target.model.positionsMax,
    });
    const backend = new SimulatedBackend({
      clock: this.clock,
      device,
      tensorParallel: run.tensorParallel,
      memory,
      timing,
      stepsInFlight: config.stepsInFlight,
      stepsMax: 1,
      acceptance: null,
      faults: null,
    });
    this.engine = new Engine({ config, backend, clock: this.clock });
    this.prompts = promptsOf(run, seed);
  }

  stage(ratePerSecond: number, seconds: number): PredictedStage {
    const { clock } = this;
    const requests = Math.max(1, Math.round(ratePerSecond * seconds));
    const sentBefore = this.sent;
    this.ttftNs = [];
    this.e2eNs = [];
    this.preemptions = 0;
    const endNs = this.arm(requests, seconds);
    clock.run(endNs);
    const { sequencesMax } = this.target.run;
    const saturated = this.running > 2 * sequencesMax;
    while (clock.armed > 0) clock.run(clock.nextNs() + 10e9);
    this.engine.check(clock.nowNs());
    return {
      latencies: latenciesOf(this.ttftNs, this.e2eNs, this.target.run.outputTokens),
      requests,
      coldRequests: Math.max(0, Math.min(this.users, sentBefore + requests) - sentBefore),
      preemptions: this.preemptions,
      saturated,
    };
  }

  tokens(_sequence: Sequence, from: number): void {
    if (from > 0) return;
    const id = _sequence.request.id as number;
    this.ttftNs.push(this.clock.nowNs() - this.sentNs[id]! + this.frontend.firstTokenNs(this.running));
  }

  finished(sequence: Sequence): void {
    const id = sequence.request.id as number;
    this.running--;
    this.preemptions += sequence.preemptions;
    this.e2eNs.push(this.clock.nowNs() - this.sentNs[id]! + this.frontend.endNs);
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
          this.engine.submit(new Request(id, nowNs, prompt, outputTokens), this);
        },
      });
    }
    return startNs + Math.ceil(seconds * 1e9);
  }
}

function promptsOf(run: MeasuredRun, seed: number): PromptSource {
  const mean = Math.round(run.promptTokensMean ?? (run.systemPromptTokens + run.questionTokens) * RETOKENISED);
  const question = mean - run.systemPromptTokens;
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

function latenciesOf(ttftNs: number[], e2eNs: number[], outputTokens: number): StageLatencies {
  ttftNs.sort((a, b) => a - b);
  e2eNs.sort((a, b) => a - b);
  const ttftMean = mean(ttftNs);
  const e2eMean = mean(e2eNs);
  return {
    e2eMean,
    e2eP99: percentile(e2eNs, 0.99),
    ttftMean,
    ttftP90: percentile(ttftNs, 0.9),
    ttftP99: percentile(ttftNs, 0.99),
    tpotMean: (e2eMean - ttftMean) / (outputTokens - 1),
  };
}

function mean(ns: readonly number[]): number {
  return ns.reduce((a, b) => a + b, 0) / ns.length / 1e6;
}

/** Linear between the neighbours, as numpy's default; milliseconds. */
function percentile(rising: readonly number[], share: number): number {
  const at = share * (rising.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, rising.length - 1);
  return (rising[low]! + (at - low) * (rising[high]! - rising[low]!)) / 1e6;
}
