import type { StepPlan, StepResult } from '../../core/index.ts';
import { RangeExtreme } from './range-extreme.ts';
import type { ForwardRecord } from './sequence-record.ts';

/** Where the sums stood. */
export interface StepMark {
  readonly iterations: number;
  readonly batch: number;
  readonly lengths: number;
  readonly deviceNs: number;
}

/**
 * Sums over all steps of an engine. What any of its sequences saw between two steps is a difference of two readings, so that a
 * step costs the same for one sequence and for a thousand.
 */
export class StepSums {
  private readonly hidesHost: boolean;
  private iterations = 0;
  private batch = 0;
  private lengths = 0;
  private deviceNs = 0;
  private readonly batchMin = new RangeExtreme('min');
  private readonly batchMax = new RangeExtreme('max');
  private readonly lengthsMax = new RangeExtreme('max');

  /** `stepsInFlight` of the engine: with 2 the host's work for the later steps of a run is hidden. */
  constructor(stepsInFlight: 1 | 2) {
    this.hidesHost = stepsInFlight === 2;
  }

  /** A submission that ended well, `startNs` as told to `EngineEvents.stepFinished`. */
  add(plan: StepPlan, result: StepResult, startNs: number): void {
    const steps = result.stepsRun;
    const { rows } = plan;
    let ns = 0;
    for (let i = 0; i < steps; i++) ns += result.durationsNs[i]!;
    // A step's length contains what of the host's work no earlier step hid.
    const exposedNs = Math.max(0, plan.plannedNs + Math.round(plan.hostNs) - startNs);
    const hostNs = exposedNs + (this.hidesHost ? 0 : (steps - 1) * Math.round(plan.hostNs));
    this.deviceNs += Math.max(0, ns - hostNs);
    this.iterations += steps;
    this.batch += steps * rows;
    const lengths = plan.decodeContextTokens + plan.prefillContextTokens + plan.tokens;
    this.lengths += steps * lengths + (rows * steps * (steps - 1)) / 2;
    this.batchMin.add(this.iterations, rows);
    this.batchMax.add(this.iterations, rows);
    this.lengthsMax.add(this.iterations, plan.contextTokensMax + steps - 1);
  }

  get mark(): StepMark {
    return { iterations: this.iterations, batch: this.batch, lengths: this.lengths, deviceNs: this.deviceNs };
  }

  /** All steps after the mark, at least one, as a forward of a sequence that got `sampledTokens` from them. */
  since(
    mark: StepMark,
    phase: ForwardRecord['phase'],
    startNs: number,
    endNs: number,
    sampledTokens: number,
  ): ForwardRecord {
    return {
      phase,
      startNs,
      endNs,
      deviceNs: this.deviceNs - mark.deviceNs,
      iterations: this.iterations - mark.iterations,
      batchMin: this.batchMin.since(mark.iterations),
      batchMax: this.batchMax.since(mark.iterations),
      batchSum: this.batch - mark.batch,
      lengthsSum: this.lengths - mark.lengths,
      lengthsMax: this.lengthsMax.since(mark.iterations),
      sampledTokens,
    };
  }

  /** Whether a step has ended since. */
  moved(mark: StepMark): boolean {
    return this.iterations > mark.iterations;
  }
}
