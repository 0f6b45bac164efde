import {
  type AcceptanceProcess,
  catalogueModel,
  type DeviceFault,
  FaultSchedule,
  H100_SXM,
  planMemory,
  RooflineTimingModel,
  SimulatedBackend,
} from '../../../src/backends/simulated/index.ts';
import {
  Request as CoreRequest,
  Sequence as CoreSequence,
  GREEDY,
  type Request,
  type SamplingParameters,
  type Sequence,
  type StepDone,
  StepPlan,
  StepResult,
  StreamTokens,
  type TokenSink,
  VirtualClock,
} from '../../../src/core/index.ts';

const SINK: TokenSink = { tokens: () => {}, finished: () => {} };
const MODEL = catalogueModel('llama-3.1-8b');

export const STEPS_MAX = 4096;
const SHAPE = {
  sequencesMax: 256,
  tokensPerStepMax: 2048,
  draftTokensMax: 8,
  stepsMax: STEPS_MAX,
  tokenIds: false,
};
export const MEMORY = planMemory(MODEL, H100_SXM, {
  tensorParallel: 1,
  blockSize: 16,
  tokensPerStepMax: 2048,
  sequencesMax: 256,
  gpuMemoryUtilization: 0.9,
  hostSwapBytes: 2 ** 30,
  blocksOverride: null,
});
export const TIMING = new RooflineTimingModel(MODEL, H100_SXM, 16, { tensorParallel: 1, tokensPerStepMax: 2048 });

/** A decoding sequence with `outputs` known tokens, whose model ends it after `implied` ones. */
export function sequence(
  id: number,
  prompt: number,
  outputs: number,
  implied: number,
  sampling: Partial<SamplingParameters> = {},
): Sequence {
  const request: Request = new CoreRequest(id, 0, {
    prompt: new StreamTokens(prompt, id),
    outputTokensMax: 1_000_000,
    sampling: { ...GREEDY, ignoreEos: false, ...sampling },
    impliedOutputTokens: implied,
  });
  const s = new CoreSequence(request, 0, SINK, id, null, 2_000_000);
  s.outputTokens = outputs;
  s.knownTokens = prompt + outputs;
  s.computedTokens = prompt + outputs - 1;
  return s;
}

export interface Ended {
  readonly endNs: number;
  readonly status: string;
  readonly durationsNs: readonly number[];
  readonly ended: readonly number[];
  readonly endedTokens: readonly number[];
  readonly acceptedDrafts: readonly number[];
}

/** A virtual clock, a simulated H100 with Llama-3.1-8B, and the little of an engine that a backend needs to see. */
export class DeviceDriver implements StepDone {
  readonly clock = new VirtualClock();
  readonly backend: SimulatedBackend;
  readonly ended: Ended[] = [];
  /** Called after each submission has been applied. */
  onEnded: (() => void) | null = null;
  private readonly pairs = [0, 1, 2].map(() => ({ plan: new StepPlan(SHAPE), result: new StepResult(SHAPE) }));
  private steps = 0;

  constructor(
    options: {
      stepsInFlight?: 1 | 2;
      faults?: readonly DeviceFault[];
      acceptance?: AcceptanceProcess;
      stepsMax?: number;
    } = {},
  ) {
    this.backend = new SimulatedBackend({
      clock: this.clock,
      device: H100_SXM,
      tensorParallel: 1,
      memory: MEMORY,
      timing: TIMING,
      stepsInFlight: options.stepsInFlight ?? 1,
      stepsMax: options.stepsMax ?? STEPS_MAX,
      acceptance: options.acceptance ?? null,
      faults: options.faults === undefined ? null : new FaultSchedule(options.faults),
    });
  }

  /** Submits one decode of each row; what it will deliver becomes placeholders, as the scheduler does. */
  decode(rows: readonly Sequence[], stepsMax = 1, hostNs = 0, drafts = 0, change: (plan: StepPlan) => void = () => {}) {
    const { plan, result } = this.pairs[this.steps % this.pairs.length]!;
    plan.reset(this.steps++, this.clock.nowNs());
    plan.rows = rows.length;
    result.reset(rows.length);
    plan.hostNs = hostNs;
    plan.laterHostNs = hostNs;
    plan.stepsMax = stepsMax;
    rows.forEach((s, row) => {
      plan.sequences[row] = s;
      plan.contextTokens[row] = s.computedTokens;
      plan.newTokens[row] = 1 + drafts;
      plan.draftTokens[row] = drafts;
      plan.samples[row] = 1;
      plan.decodeContextTokens += s.computedTokens;
      s.placeholders += 1 + drafts;
      s.computedTokens += 1 + drafts;
    });
    plan.decodeRows = rows.length;
    plan.decodeTokens = rows.length * (1 + drafts);
    plan.sampledRows = rows.length;
    change(plan);
    this.backend.submit(plan, result, this);
  }

  stepDone(plan: StepPlan, result: StepResult): void {
    const rows = plan.rows;
    this.ended.push({
      endNs: this.clock.nowNs(),
      status: result.status,
      durationsNs: Array.from(result.durationsNs.subarray(0, result.stepsRun)),
      ended: Array.from(result.ended.subarray(0, rows)),
      endedTokens: Array.from(result.endedTokens.subarray(0, rows)),
      acceptedDrafts: Array.from(result.acceptedDrafts.subarray(0, rows)),
    });
    for (let row = 0; row < rows; row++) {
      const s = plan.sequences[row]!;
      const planned = 1 + plan.draftTokens[row]!;
      const delivered =
        result.status !== 'ok' ? 0 : result.stepsRun === 1 ? 1 + result.acceptedDrafts[row]! : result.stepsRun;
      s.placeholders -= planned;
      s.outputTokens += delivered;
      s.knownTokens += delivered;
      s.computedTokens += delivered - planned;
    }
    this.onEnded?.();
  }
}
