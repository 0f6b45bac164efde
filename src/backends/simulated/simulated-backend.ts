import {
  assert,
  type Backend,
  type BackendLimits,
  type Clock,
  ConfigError,
  PRIORITY,
  type StepDone,
  type StepPlan,
  type StepResult,
  type StepStatus,
  type Task,
  type Telemetry,
} from '../../core/index.ts';
import type { AcceptanceProcess } from './acceptance.ts';
import type { DeviceSpec } from './device.ts';
import { emptyGpu } from './empty-gpu.ts';
import type { FaultSchedule } from './faults.ts';
import type { MemoryPlan } from './memory.ts';
import type { TimingModel } from './timing-model.ts';
import { endOutputToken } from './token-oracle.ts';
import type { TokenWriter } from './token-writer.ts';

export interface SimulatedBackendOptions {
  readonly clock: Clock;
  readonly device: DeviceSpec;
  /** GPUs that run every step together. */
  readonly tensorParallel: number;
  readonly memory: MemoryPlan;
  readonly timing: TimingModel;
  /**
   * The engine's setting. Inside a run of steps there is nobody to plan the later ones: with 2 the host's work for a step is hidden behind the
   * step before it, with 1 it adds to the step.
   */
  readonly stepsInFlight: 1 | 2;
  /** Longest run of decode steps in one submission; 1 = none. */
  readonly stepsMax: number;
  /** null when nobody drafts. */
  readonly acceptance: AcceptanceProcess | null;
  readonly faults: FaultSchedule | null;
  /** Gives tokens ids, as a real device does; null: they are implied, and nobody reads any. */
  readonly writer?: TokenWriter | null;
}

/**
 * A device that exists as a timing model. Submissions run one after the other:
 *
 *     submit        begin            ready                          end = next begin
 *     | ........... | host, exposed  | swaps, copies, step          |      begin = max(submit, end of the one before)
 *     | plan.hostNs .................|                                     ready = max(begin, submit + hostNs)
 *
 * durationsNs[i] = end - begin: it contains the part of the host's work that no step hid, so a step of a run takes exactly what the
 * same step takes alone. All of a submission is worked out when it is submitted, and told when the clock reaches its end. Everything that can
 * change a run must therefore be armed on the clock before its `submit`.
 */
export class SimulatedBackend implements Backend {
  readonly limits: BackendLimits;
  private readonly clock: Clock;
  private readonly device: DeviceSpec;
  private readonly gpus: number;
  private readonly memory: MemoryPlan;
  private readonly timing: TimingModel;
  private readonly hidesHost: boolean;
  private readonly acceptance: AcceptanceProcess | null;
  private readonly faults: FaultSchedule | null;
  private readonly writer: TokenWriter | null;

  private readonly submissions: readonly [Submission, Submission];
  private nextSubmission = 0;
  private outstanding = 0;
  /** End of the last submission. */
  private freeNs = 0;
  private lastStatus: StepStatus = 'ok';
  private closed = false;

  /** Device time and traffic of submissions that have ended, and the totals at the last reading. */
  private busyNs = 0;
  private bytes = 0;
  private readNs = 0;
  private readBusyNs = 0;
  private readBytes = 0;

  constructor(options: SimulatedBackendOptions) {
    if (!(Number.isInteger(options.stepsMax) && options.stepsMax >= 1)) {
      throw new ConfigError('stepsMax', options.stepsMax, 'a whole number of at least 1');
    }
    this.clock = options.clock;
    this.device = options.device;
    this.gpus = options.tensorParallel;
    this.memory = options.memory;
    this.timing = options.timing;
    this.hidesHost = options.stepsInFlight === 2;
    this.acceptance = options.acceptance;
    this.faults = options.faults;
    this.writer = options.writer ?? null;
    this.limits = Object.freeze({
      blocksTotal: options.memory.blocksTotal,
      hostBlocksTotal: options.memory.hostBlocksTotal,
      stepsInFlightMax: 2,
      stepsMax: options.stepsMax,
      impliedTokens: this.writer === null,
      sameStepPrefixReads: true,
    });
    this.submissions = [new Submission(this), new Submission(this)];
  }

  submit(plan: StepPlan, result: StepResult, done: StepDone): void {
    assert(!this.closed, 'a closed backend takes no submission');
    assert(this.outstanding < 2, 'at most two submissions are out');
    const now = this.clock.nowNs();
    const begin = this.freeNs > now ? this.freeNs : now;
    const submission = this.submissions[this.nextSubmission]!;
    this.nextSubmission ^= 1;
    submission.plan = plan;
    submission.result = result;
    submission.done = done;
    if (this.outstanding > 0 && this.lastStatus !== 'ok') this.cancel(submission, begin);
    else this.execute(submission, plan, result, now, begin);
    this.outstanding++;
    this.freeNs = submission.endNs;
    this.lastStatus = result.status;
    this.clock.at(submission.endNs, PRIORITY.stepDone, submission);
  }

  /**
   * Fills `into` with one entry per GPU (missing ones are added). Utilisation is the model's busy time, and its traffic against the peak
   * bandwidth, since the last reading; NaN when no time has passed since.
   */
  telemetry(into: Telemetry): void {
    const now = this.clock.nowNs();
    let busyNs = this.busyNs;
    let bytes = this.bytes;
    for (const submission of this.submissions) {
      const share = submission.shareBefore(now);
      busyNs += share * submission.busyNs;
      bytes += share * submission.bytes;
    }
    const elapsedNs = now - this.readNs;
    const compute = elapsedNs > 0 ? percent((busyNs - this.readBusyNs) / elapsedNs) : Number.NaN;
    const bandwidth =
      elapsedNs > 0
        ? percent((bytes - this.readBytes) / ((elapsedNs / 1e9) * this.device.hbmBytesPerSecond))
        : Number.NaN;
    this.readNs = now;
    this.readBusyNs = busyNs;
    this.readBytes = bytes;

    const { memory } = this;
    into.gpus.length = Math.min(into.gpus.length, this.gpus);
    for (let gpu = 0; gpu < this.gpus; gpu++) {
      if (gpu === into.gpus.length) into.gpus.push(emptyGpu());
      const entry = into.gpus[gpu]!;
      entry.memoryTotalBytes = memory.totalBytes;
      entry.memoryUsedBytes = memory.weightBytes + memory.kvBytes + memory.activationBytes + memory.runtimeBytes;
      entry.modelBytes = memory.weightBytes;
      entry.kvCacheBytes = memory.kvBytes;
      entry.activationBytes = memory.activationBytes;
      entry.computeUtilizationPercent = compute;
      entry.memoryBandwidthUtilizationPercent = bandwidth;
      entry.healthy = this.faults === null || this.faults.healthy(gpu, now);
    }
  }

  /** Time that the GPUs worked, of submissions that have ended; readings of `telemetry` leave it alone. */
  get busyTotalNs(): number {
    return this.busyNs;
  }

  /** Idempotent. Submissions that are out are never reported. */
  close(): void {
    this.closed = true;
  }

  /** The clock has reached the end of a submission. */
  finish(submission: Submission): void {
    if (this.closed) return;
    const { plan, result, done } = submission;
    assert(plan !== null && result !== null && done !== null, 'a submission ends once');
    this.outstanding--;
    this.busyNs += submission.busyNs;
    this.bytes += submission.bytes;
    submission.clear();
    done.stepDone(plan, result);
  }

  /**
   * Runs the plan: one step, or a run of steps that ends with the first of: plan.stepsMax, a row's last token, the step during which something
   * armed on the clock is due, the step before one that a cut or a failure falls into.
   */
  private execute(submission: Submission, plan: StepPlan, result: StepResult, now: number, begin: number): void {
    const { faults, timing } = this;
    const hostNs = Math.round(plan.hostNs);
    const laterHostNs = Math.round(plan.laterHostNs);
    const durationsNs = result.durationsNs;
    const stepsToEnd = plan.stepsMax === 1 ? 1 : this.stepsToFirstEnd(plan);
    const stepsMax = Math.min(plan.stepsMax, stepsToEnd, durationsNs.length);
    const horizonNs = stepsMax === 1 ? 0 : this.clock.nextNs();
    const cutNs = stepsMax === 1 ? Number.POSITIVE_INFINITY : this.clock.nextCutNs();
    const extraNs =
      plan.swapOutCount + plan.swapInCount + plan.copyCount === 0
        ? 0
        : timing.swapNs(plan.swapOutCount, plan.swapInCount) + timing.copyNs(plan.copyCount);

    let context = plan.decodeContextTokens;
    let before = begin;
    let last = begin;
    let ready = now + hostNs > begin ? now + hostNs : begin;
    let deviceNs = extraNs;
    let busyNs = 0;
    let steps = 0;
    for (;;) {
      deviceNs += timing.stepNs(plan, context);
      if (faults !== null) deviceNs = Math.max(1, Math.round(deviceNs * faults.slowFactor(ready)));
      let end = ready + deviceNs;
      if (faults !== null) end = faults.endAfterHang(end);
      if (faults !== null && faults.failureDueNs < end) {
        if (steps === 0) {
          this.fail(submission, result, faults, ready);
          return;
        }
        break;
      }
      // What cuts finds the tokens of all earlier steps delivered: it falls into a step of its own.
      if (end >= cutNs && steps > 0) break;
      durationsNs[steps++] = end - last;
      busyNs += end - ready;
      before = last;
      last = end;
      if (steps === stepsMax || end >= horizonNs) break;
      context += plan.rows;
      deviceNs = 0;
      const planned = (this.hidesHost ? before : end) + laterHostNs;
      ready = planned > end ? planned : end;
    }
    result.stepsRun = steps;
    submission.startNs = begin;
    submission.endNs = last;
    submission.busyNs = busyNs;
    // Traffic grows evenly with the context: the mean step stands for all.
    const contextMean = plan.decodeContextTokens + (plan.rows * (steps - 1)) / 2;
    submission.bytes = steps * timing.stepBytes(plan, contextMean);
    if (this.writer !== null) this.write(this.writer, plan, result);
    else if (plan.stepsMax === 1) this.deliver(plan, result, begin);
    else if (steps === stepsToEnd) this.markEnds(plan, result, steps);
  }

  /** The failure that is due ends the submission when it happens, at the earliest one nanosecond into its device time. */
  private fail(submission: Submission, result: StepResult, faults: FaultSchedule, ready: number): void {
    const failure = faults.takeFailure(ready);
    result.fail(failure.kind, failure.message);
    submission.startNs = ready;
    submission.endNs = Math.max(Math.ceil(failure.atNs), ready + 1);
    submission.busyNs = submission.endNs - ready;
    submission.bytes = 0;
  }

  /**
   * What was queued behind a failed submission needs its tokens: it is not run. Nothing is lost by that, so it may be tried again unless the
   * device is gone.
   */
  private cancel(submission: Submission, begin: number): void {
    const status = this.lastStatus === 'device-lost' ? 'device-lost' : 'transient';
    submission.result!.fail(status, `not run: the step before it failed (${this.lastStatus})`);
    submission.startNs = begin;
    submission.endNs = begin;
    submission.busyNs = 0;
    submission.bytes = 0;
  }

  /**
   * Single step: accepted drafts, and rows whose model ends. The outputs before a row's first token of this plan are those known to
   * the host and those that an earlier submission will deliver; `placeholders` holds the latter and this plan's own (1 + drafts):
   *
   *     | outputTokens | placeholders of earlier steps | 1 + drafts of this plan |
   *     | before ......................................|
   *
   * A row that ended in the earlier submission is marked as ended with no token that counts.
   */
  private deliver(plan: StepPlan, result: StepResult, begin: number): void {
    if (plan.decodeTokens > plan.decodeRows) {
      this.deliverDrafts(plan, result, begin);
      return;
    }
    const { samples, sequences, rows } = plan;
    for (let row = 0; row < rows; row++) {
      if (samples[row] === 0) continue;
      const sequence = sequences[row]!;
      if (!sequence.mayEndItself) continue;
      const before = sequence.outputTokens + sequence.placeholders - 1;
      const endsAt = endOutputToken(sequence.request);
      if (before + 1 < endsAt) continue;
      result.ended[row] = 1;
      result.endedTokens[row] = endsAt > before ? 1 : 0;
    }
  }

  /**
   * Single step with ids: what each sampling row produces. A draft is accepted when it is the token that the writer would
   * have written there, so acceptance is real for a proposer that reads the text. The ids end sequences, nothing else does.
   */
  private write(writer: TokenWriter, plan: StepPlan, result: StepResult): void {
    const stride = plan.draftTokensMax;
    for (let row = 0; row < plan.rows; row++) {
      if (plan.samples[row] === 0) continue;
      const sequence = plan.sequences[row]!;
      const drafts = plan.draftTokens[row]!;
      const before = sequence.outputTokens + sequence.placeholders - 1 - drafts;
      let accepted = 0;
      for (;;) {
        const id = writer.token(sequence, before + accepted);
        result.tokens[row * (stride + 1) + accepted] = id;
        if (accepted === drafts || plan.draftIds[row * stride + accepted] !== id) break;
        accepted++;
      }
      result.acceptedDrafts[row] = accepted;
    }
  }

  private deliverDrafts(plan: StepPlan, result: StepResult, begin: number): void {
    const { acceptance } = this;
    const rates = this.faults?.acceptanceRates(begin) ?? null;
    assert(acceptance !== null, 'a backend that gets drafts has an acceptance process');
    for (let row = 0; row < plan.rows; row++) {
      if (plan.samples[row] === 0) continue;
      const sequence = plan.sequences[row]!;
      const drafts = plan.draftTokens[row]!;
      const before = sequence.outputTokens + sequence.placeholders - 1 - drafts;
      const accepted = acceptance.accepted(sequence, before, drafts, rates);
      result.acceptedDrafts[row] = accepted;
      const endsAt = endOutputToken(sequence.request);
      if (before + accepted + 1 < endsAt) continue;
      result.ended[row] = 1;
      result.endedTokens[row] = endsAt > before ? endsAt - before : 0;
    }
  }

  /** Run: steps until the first row ends by itself, at least 1. Every row yields one token per step. */
  private stepsToFirstEnd(plan: StepPlan): number {
    assert(
      plan.decodeTokens === plan.rows && plan.sampledRows === plan.rows,
      'in a run of steps every row decodes one token per step',
    );
    let steps = Number.POSITIVE_INFINITY;
    for (let row = 0; row < plan.rows; row++) {
      const sequence = plan.sequences[row]!;
      if (!sequence.mayEndItself) continue;
      const before = sequence.outputTokens + sequence.placeholders - 1;
      const left = endOutputToken(sequence.request) - before;
      if (left < steps) steps = left;
    }
    return steps > 1 ? steps : 1;
  }

  private markEnds(plan: StepPlan, result: StepResult, steps: number): void {
    for (let row = 0; row < plan.rows; row++) {
      const sequence = plan.sequences[row]!;
      const left = endOutputToken(sequence.request) - (sequence.outputTokens + sequence.placeholders - 1);
      if (left > steps) continue;
      result.ended[row] = 1;
      result.endedTokens[row] = left === steps ? 1 : 0;
    }
  }
}

/** One submission that is out: armed on the clock itself, so that a step allocates nothing. */
class Submission implements Task {
  plan: StepPlan | null = null;
  result: StepResult | null = null;
  done: StepDone | null = null;
  startNs = 0;
  endNs = 0;
  /** Device time and traffic within [startNs, endNs). */
  busyNs = 0;
  bytes = 0;
  private readonly backend: SimulatedBackend;

  constructor(backend: SimulatedBackend) {
    this.backend = backend;
  }

  run(): void {
    this.backend.finish(this);
  }

  /** Share of its work that lies before `timeNs`; the work is taken as even. */
  shareBefore(timeNs: number): number {
    if (this.plan === null || timeNs <= this.startNs) return 0;
    return timeNs >= this.endNs ? 1 : (timeNs - this.startNs) / (this.endNs - this.startNs);
  }

  clear(): void {
    this.plan = null;
    this.result = null;
    this.done = null;
  }
}

function percent(share: number): number {
  return 100 * Math.min(1, Math.max(0, share));
}
