import {
  ArrayTokens,
  type Backend,
  type BackendLimits,
  type Clock,
  Engine,
  type EngineConfig,
  engineConfig,
  NO_SINK,
  Request,
  type StepDone,
  type StepPlan,
  type StepResult,
  streamToken,
} from '../src/core/index.ts';

/** Simulated length of a step: the engine's full check, once per 300 s of its clock, stays out of the samples. */
const STEP_NS = 10e6;
/** Distinct prompts that are kept; made once, since they are no part of what is timed. */
const PROMPTS = 12_288;
export const PROMPT_TOKENS = 512;

let prompts: Int32Array[] | null = null;

/** An engine of profile `twinfer` over a device that takes no time and exchanges token ids, as real ones do. */
export class StepRig {
  readonly engine: Engine;
  private readonly clock = new SteppedClock();
  private readonly device: InstantDevice;
  private requests = 0;

  constructor(changes: Partial<EngineConfig>) {
    const config = engineConfig('twinfer', { modelLenMax: 32_768, ...changes });
    this.device = new InstantDevice(config.blocksTotal);
    this.engine = new Engine({ config, backend: this.device, clock: this.clock });
  }

  submit(count: number, outputTokensMax: (index: number) => number): void {
    prompts ??= makePrompts();
    for (let i = 0; i < count; i++) {
      const id = this.requests++;
      const prompt = new ArrayTokens(prompts[id % PROMPTS]!);
      this.engine.submit(
        new Request(id, this.clock.nowNs(), { prompt, outputTokensMax: outputTokensMax(id) }),
        NO_SINK,
      );
    }
  }

  /** Ends the step in flight, if there is one, and plans and submits the next; returns how long that took, ms. */
  step(): number {
    this.clock.advance(STEP_NS);
    const { plan, result } = this.device;
    if (plan === null) {
      this.engine.run(this.clock.nowNs());
      return 0;
    }
    result!.stepsRun = 1;
    result!.durationsNs[0] = STEP_NS;
    this.device.plan = null;
    const from = performance.now();
    this.engine.stepDone(plan, result!);
    return performance.now() - from;
  }

  stepWhile(condition: () => boolean): void {
    while (condition()) this.step();
  }

  /** Rows of the step in flight. */
  get rows(): number {
    return this.device.plan?.rows ?? 0;
  }

  get decodeRows(): number {
    return this.device.plan?.decodeRows ?? 0;
  }
}

/** Holds the one submission that is out until the rig ends it. Its tokens are whatever the result holds: zeroes. */
class InstantDevice implements Backend {
  readonly limits: BackendLimits;
  plan: StepPlan | null = null;
  result: StepResult | null = null;

  constructor(blocksTotal: number) {
    this.limits = {
      blocksTotal,
      hostBlocksTotal: 0,
      stepsInFlightMax: 1,
      stepsMax: 1,
      impliedTokens: false,
      sameStepPrefixReads: true,
    };
  }

  submit(plan: StepPlan, result: StepResult, _done: StepDone): void {
    this.plan = plan;
    this.result = result;
  }

  telemetry(): void {}

  close(): void {}
}

/** Time that the rig moves; the rig also does what an armed task would do, so nothing is kept. */
class SteppedClock implements Clock {
  private timeNs = 0;

  nowNs(): number {
    return this.timeNs;
  }

  at(): void {}

  nextNs(): number {
    return Number.POSITIVE_INFINITY;
  }

  nextCutNs(): number {
    return Number.POSITIVE_INFINITY;
  }

  advance(ns: number): void {
    this.timeNs += ns;
  }
}

function makePrompts(): Int32Array[] {
  return Array.from({ length: PROMPTS }, (_, i) => randomTokens(i, PROMPT_TOKENS));
}

export function randomTokens(stream: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => streamToken(stream, i));
}
