import {
  ArrayTokens,
  type BackendLimits,
  type Clock,
  type DraftProposer,
  Engine,
  type EngineConfig,
  type EngineEvents,
  type EngineProfile,
  engineConfig,
  type FinishReason,
  GREEDY,
  PRIORITY,
  type PreemptionReason,
  type RejectionReason,
  Request,
  type SamplingParameters,
  type Sequence,
  type StepPlan,
  type StepStatus,
  type Task,
  type TokenSource,
} from '../../src/core/index.ts';
import { PhysicalMemory } from './physical-memory.ts';
import { ScriptedBackend } from './scripted-backend.ts';

/** Time moves when the test says so; only deadlines ring. */
class ManualClock implements Clock {
  private timeNs = 0;
  private readonly deadlines: { timeNs: number; task: Task }[] = [];

  nowNs(): number {
    return this.timeNs;
  }

  at(timeNs: number, priority: number, task: Task): void {
    if (priority === PRIORITY.deadline) this.deadlines.push({ timeNs, task });
  }

  nextNs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.deadlines.map((entry) => entry.timeNs));
  }

  nextCutNs(): number {
    return this.nextNs();
  }

  advance(ns: number): void {
    this.timeNs += ns;
    const due = this.deadlines.filter((entry) => entry.timeNs <= this.timeNs);
    for (const entry of due) this.deadlines.splice(this.deadlines.indexOf(entry), 1);
    for (const entry of due.sort((a, b) => a.timeNs - b.timeNs)) entry.task.run(this.timeNs);
  }
}

/** What a test may say of a request; the rest has the value of a plain greedy request. */
export interface RequestSpec {
  readonly prompt: readonly number[] | TokenSource;
  readonly outputTokensMax?: number;
  readonly sampling?: Partial<SamplingParameters>;
  readonly priority?: number;
  readonly cacheSalt?: number;
  readonly deadlineNs?: number;
  readonly impliedOutputTokens?: number;
  readonly tenant?: number;
}

/** What became of a sequence, as its sink and the engine's listeners heard it. */
export interface Heard {
  readonly sequence: Sequence;
  readonly ends: FinishReason[];
  readonly tokens: number[];
}

export interface Admission {
  readonly sequence: Sequence;
  readonly hitTokens: number;
  readonly blocksAllocated: number;
  readonly resumed: boolean;
}

export interface Preemption {
  readonly victim: Sequence;
  readonly reason: PreemptionReason;
  readonly swapped: boolean;
}

export interface RigOptions {
  readonly profile?: EngineProfile;
  readonly config?: Partial<EngineConfig>;
  readonly limits?: Partial<BackendLimits>;
  readonly proposer?: DraftProposer | null;
  /** Called while the engine decides, when the state before the decision still matters. */
  readonly onAdmitted?: (sequence: Sequence) => void;
  readonly onPreempted?: (victim: Sequence, swapped: boolean) => void;
}

/** Small numbers, so that a test can count blocks by hand: 4 tokens a block, 16 blocks. */
const SMALL: Partial<EngineConfig> = {
  blockSize: 4,
  blocksTotal: 16,
  sequencesMax: 4,
  tokensPerStepMax: 64,
  modelLenMax: 64,
  watermarkRatio: 0,
  checkIntervalNs: 0,
};

/**
 * An engine that a test steps by hand: submissions wait until the test ends them, each step is computed in a
 * `PhysicalMemory`, and all that sinks and listeners hear is kept.
 */
export class EngineRig implements EngineEvents {
  readonly clock = new ManualClock();
  readonly backend: ScriptedBackend;
  readonly engine: Engine;
  /** null when the backend implies its tokens. */
  readonly memory: PhysicalMemory | null;
  readonly heard = new Map<Sequence, Heard>();
  readonly admissions: Admission[] = [];
  readonly preemptions: Preemption[] = [];
  readonly evictions: number[] = [];
  readonly rejections: RejectionReason[] = [];
  private readonly options: RigOptions;
  private nextId = 1;

  constructor(options: RigOptions = {}) {
    this.options = options;
    const config = engineConfig(options.profile ?? 'twinfer', { ...SMALL, ...options.config });
    this.backend = new ScriptedBackend(options.limits);
    this.engine = new Engine({
      config,
      backend: this.backend,
      clock: this.clock,
      events: this,
      proposer: options.proposer ?? null,
    });
    this.memory = this.backend.limits.impliedTokens ? null : new PhysicalMemory(config);
  }

  /** Submits a request; returns its sequences, the leader first. */
  submitAll(spec: RequestSpec, id = this.nextId++): Sequence[] {
    const prompt = 'copy' in spec.prompt ? spec.prompt : new ArrayTokens(Int32Array.from(spec.prompt));
    const nowNs = this.clock.nowNs();
    const request = new Request(id, nowNs, {
      prompt,
      outputTokensMax: spec.outputTokensMax ?? 4,
      sampling: { ...GREEDY, ...spec.sampling },
      priority: spec.priority ?? 0,
      cacheSalt: spec.cacheSalt ?? 0,
      tenant: spec.tenant ?? 0,
      timeoutNs: (spec.deadlineNs ?? Number.POSITIVE_INFINITY) - nowNs,
      impliedOutputTokens: spec.impliedOutputTokens ?? Number.POSITIVE_INFINITY,
    });
    const before = this.heard.size;
    this.engine.submit(request, {
      tokens: (sequence, from, count) => {
        const heard = this.listen(sequence);
        for (let i = from; i < from + count; i++) heard.tokens.push(sequence.output === null ? i : sequence.output[i]!);
      },
      finished: (sequence, reason) => this.listen(sequence).ends.push(reason),
    });
    return [...this.heard.keys()].slice(before);
  }

  submit(spec: RequestSpec, id?: number): Sequence {
    return this.submitAll(spec, id)[0]!;
  }

  heardOf(sequence: Sequence): Heard {
    return this.listen(sequence);
  }

  /** Plans a step; its plan, or null when there was nothing to compute. */
  begin(): StepPlan | null {
    if (!this.engine.beginStep(this.clock.nowNs())) return null;
    const { plan } = this.backend.out.at(-1)!;
    this.memory?.submitted(plan);
    return plan;
  }

  /** Ends the oldest submission: `steps` of it, or its failure. `accept`: drafts accepted of those of a row. */
  end(
    outcome: { status?: StepStatus; steps?: number; accept?: (sequence: Sequence, drafts: number) => number } = {},
  ): void {
    this.clock.advance(outcome.steps ?? 1);
    const { plan, result } = this.backend.take();
    const status = outcome.status ?? 'ok';
    if (status !== 'ok') {
      this.memory?.failed(plan);
      result.fail(status, 'said the test');
      this.engine.apply(plan, result);
      return;
    }
    const steps = outcome.steps ?? 1;
    result.stepsRun = steps;
    result.durationsNs.fill(1, 0, steps);
    for (let row = 0; row < plan.rows; row++) {
      const sequence = plan.sequences[row]!;
      const drafts = plan.draftTokens[row]!;
      result.acceptedDrafts[row] = drafts === 0 ? 0 : (outcome.accept?.(sequence, drafts) ?? 0);
      if (this.backend.limits.impliedTokens && plan.samples[row] === 1) {
        if (sequence.outputTokens + steps >= sequence.request.impliedOutputTokens) result.ended[row] = 1;
      }
    }
    this.memory?.computed(plan, result);
    this.engine.apply(plan, result);
  }

  /** Plans and ends one step; false when there was nothing to compute and nothing in flight. */
  step(): boolean {
    const planned = this.begin() !== null;
    if (this.backend.out.length === 0) return planned;
    this.end();
    return true;
  }

  /** Steps until nothing is left to do; throws after `stepsMax` steps. Returns how many it took. */
  finish(stepsMax = 2000): number {
    for (let steps = 0; steps <= stepsMax; steps++) if (!this.step()) return steps;
    throw new Error(`still at work after ${stepsMax} steps: ${this.engine.recorder.lines().at(-1)}`);
  }

  /** Blocks of a running sequence, in order. */
  blocksOf(sequence: Sequence): number[] {
    const { tables, tableStride } = this.engine.kv;
    const row = sequence.slot * tableStride;
    return [...tables.slice(row, row + sequence.blocks)];
  }

  private listen(sequence: Sequence): Heard {
    let heard = this.heard.get(sequence);
    if (heard === undefined) {
      heard = { sequence, ends: [], tokens: [] };
      this.heard.set(sequence, heard);
    }
    return heard;
  }

  received(sequence: Sequence): void {
    this.listen(sequence);
  }

  rejected(_request: Request, reason: RejectionReason): void {
    this.rejections.push(reason);
  }

  admitted(sequence: Sequence, hitTokens: number, blocksAllocated: number, resumed: boolean): void {
    this.admissions.push({ sequence, hitTokens, blocksAllocated, resumed });
    this.options.onAdmitted?.(sequence);
  }

  preempted(victim: Sequence, reason: PreemptionReason, swapped: boolean): void {
    this.preemptions.push({ victim, reason, swapped });
    this.options.onPreempted?.(victim, swapped);
  }

  evicted(blocks: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.evictions.push(blocks[i]!);
  }

  stepPlanned(): void {}

  hostPhase(): void {}

  stepFinished(): void {}

  tokenGap(): void {}

  finished(): void {}
}
