import {
  CounterRng,
  type DraftProposer,
  type DrivenClock,
  type Engine,
  type EngineConfig,
  type HostTimer,
  type LogprobSource,
  NONE,
  PRIORITY,
} from '../../core/index.ts';
import { AcceptanceProcess } from './acceptance.ts';
import type { DeviceSpec } from './device.ts';
import type { DeviceOperators } from './device-operators.ts';
import { type EngineTiming, engineTiming, type TimingSource } from './engine-timing.ts';
import { type DeviceFault, FaultSchedule } from './faults.ts';
import { FixedProposer } from './fixed-proposer.ts';
import { breaksLaws, type HostFault, HostFaults, isHostFault, type SlowedTimer } from './host-faults.ts';
import type { MemoryPlan } from './memory.ts';
import type { ModelShape } from './model-shape.ts';
import { leakBlocks, miscountReference } from './planted-faults.ts';
import { SimulatedBackend } from './simulated-backend.ts';
import { SyntheticProbabilities } from './synthetic-probabilities.ts';
import { type AnswerText, TextWriter } from './token-writer.ts';

/** A simulated device and everything that its steps depend on, as plain values. */
export interface SimulatedSpec {
  readonly kind: 'simulated';
  readonly model: ModelShape;
  readonly device: DeviceSpec;
  /** GPUs that run every step together. */
  readonly tensorParallel: number;
  readonly memory: MemoryPlan;
  readonly timing: TimingSource;
  readonly faults: readonly (DeviceFault | HostFault)[];
  readonly seed: number;
  /** Probability that the draft at each position is accepted, given those before it; null without speculation. */
  readonly acceptanceRates: readonly number[] | null;
  /** What the device answers with, as token ids; null: tokens are implied, since nothing reads them. */
  readonly answers: { readonly text: AnswerText; readonly vocabularySize: number } | null;
}

/** What an injected fault is: see `POST /admin/faults`. Durations in wall seconds. */
export type SimulatedFault =
  | { readonly kind: Extract<DeviceFault, { readonly atNs: number }>['kind'] }
  | { readonly kind: 'slow' | 'slow-host'; readonly factor: number; readonly seconds: number }
  | { readonly kind: 'unhealthy' | 'hang'; readonly seconds: number }
  | { readonly kind: 'leak-blocks'; readonly blocks: number }
  | { readonly kind: 'wrong-reference' };

/** Longest run of decode steps in one submission. */
const RUN_STEPS_MAX = 4096;

export interface SimulatedParts {
  readonly clock: DrivenClock;
  readonly config: EngineConfig;
  /** Measures or models the scheduler's own work; its `factor` is what a slow host changes. */
  readonly hostTimer: HostTimer & SlowedTimer;
  /** Made before for the same profile, model and parallelism: spares the tables. */
  readonly operators?: DeviceOperators;
}

/** A simulated device with what surrounds it: drafts, the scheduler's time, faults of device and host. */
export class OpenedSimulation {
  readonly backend: SimulatedBackend;
  readonly clock: DrivenClock;
  readonly hostTimer: HostTimer | null;
  /** A draft model that exists as a number; null where drafts can be guessed from the text. */
  readonly proposer: DraftProposer | null;
  readonly logprobs: LogprobSource | null;
  readonly timing: EngineTiming;
  /** False where the scenario breaks the engine's invariants on purpose: checks would only find that. */
  readonly checked: boolean;
  private readonly spec: SimulatedSpec;
  private readonly timer: HostTimer & SlowedTimer;
  private readonly schedule: FaultSchedule;

  /** Throws ConfigError for faults, rates and sizes that are not allowed. */
  constructor(spec: SimulatedSpec, { clock, config, hostTimer, operators }: SimulatedParts) {
    const { device, tensorParallel, memory, answers, acceptanceRates, seed } = spec;
    this.spec = spec;
    this.clock = clock;
    this.timer = hostTimer;
    this.hostTimer = spec.timing.schedulerCosts ? hostTimer : null;
    this.checked = !spec.faults.some(breaksLaws);
    const deviceFaults = spec.faults.filter((fault): fault is DeviceFault => !isHostFault(fault));
    this.schedule = new FaultSchedule(deviceFaults);
    // Faults are injected into servers, whose tokens have ids; a simulation without any spares the look at every step.
    const mayFail = deviceFaults.length > 0 || answers !== null;
    const sizes = { ...config, tensorParallel, ...(operators === undefined ? {} : { operators }) };
    this.timing = engineTiming(spec.timing, spec.model, device, sizes);
    this.backend = new SimulatedBackend({
      clock,
      device,
      tensorParallel,
      memory,
      timing: this.timing.timing,
      stepsInFlight: config.stepsInFlight,
      stepsMax: config.fastForward ? RUN_STEPS_MAX : 1,
      acceptance:
        acceptanceRates === null || answers !== null
          ? null
          : new AcceptanceProcess(new CounterRng(seed), acceptanceRates),
      faults: mayFail ? this.schedule : null,
      writer: answers === null ? null : new TextWriter(answers.text, seed, config.sequencesMax),
    });
    this.logprobs = answers === null ? null : new SyntheticProbabilities(answers.vocabularySize);
    this.proposer = config.speculation === null || answers !== null ? null : new FixedProposer();
  }

  /** Arms the host's faults of the scenario. Call it once, before anything runs. */
  attach(engine: Engine): HostFaults {
    return new HostFaults(this.spec.faults.filter(isHostFault), engine, this.clock, this.timer);
  }

  /**
   * Makes a fault happen now. Returns how many blocks it took or miscounted; null where a fault has nothing to do with blocks. Throws
   * RangeError where it has nothing to act on.
   */
  inject(fault: SimulatedFault, engine: Engine): number | null {
    const { clock, schedule } = this;
    const nowNs = clock.nowNs();
    const window = (seconds: number) => ({
      fromNs: nowNs,
      toNs: nowNs + Math.max(1, clock.durationNs(seconds * 1e9)),
    });
    switch (fault.kind) {
      case 'leak-blocks':
        return leakBlocks(engine, fault.blocks).length;
      case 'wrong-reference':
        if (miscountReference(engine) === NONE) throw new RangeError('nothing runs whose block could be miscounted');
        return 1;
      case 'slow-host':
        new HostFaults(
          [{ kind: 'slow-host', ...window(fault.seconds), factor: fault.factor }],
          engine,
          clock,
          this.timer,
        );
        return null;
      case 'slow':
        schedule.add({ kind: 'slow', ...window(fault.seconds), factor: fault.factor });
        return null;
      case 'hang':
        schedule.add({ kind: 'hang', ...window(fault.seconds) });
        return null;
      case 'unhealthy':
        return this.makeUnhealthy(window(fault.seconds));
      default:
        schedule.add({ kind: fault.kind, atNs: nowNs, message: `injected: ${fault.kind}` });
        return null;
    }
  }

  private makeUnhealthy({ fromNs, toNs }: { readonly fromNs: number; readonly toNs: number }): null {
    this.schedule.add({ kind: 'unhealthy', fromNs, toNs, gpu: null });
    // The clock goes on to its end, also where nothing else is due.
    this.clock.at(toNs, PRIORITY.fault, { run: () => {} });
    return null;
  }

  close(): void {
    this.backend.close();
  }
}
