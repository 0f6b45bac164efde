import type { Backend, BackendLimits, StepDone, StepPlan, StepResult } from '../../src/core/index.ts';

/** A backend whose submissions wait until the test ends them: for tests that step an engine by hand. */
export class ScriptedBackend implements Backend {
  readonly limits: BackendLimits;
  /** Submissions that are out, oldest first. */
  readonly out: { plan: StepPlan; result: StepResult; done: StepDone }[] = [];

  constructor(limits: Partial<BackendLimits> = {}) {
    this.limits = {
      blocksTotal: 2 ** 28,
      hostBlocksTotal: 2 ** 28,
      stepsInFlightMax: 2,
      stepsMax: 1,
      impliedTokens: false,
      sameStepPrefixReads: true,
      ...limits,
    };
  }

  submit(plan: StepPlan, result: StepResult, done: StepDone): void {
    this.out.push({ plan, result, done });
  }

  /** Takes the oldest submission, marked as run for one step. */
  take(durationNs = 1): { plan: StepPlan; result: StepResult; done: StepDone } {
    const oldest = this.out.shift();
    if (oldest === undefined) throw new Error('no submission is out');
    oldest.result.stepsRun = 1;
    oldest.result.durationsNs[0] = durationNs;
    return oldest;
  }

  telemetry(): void {}

  close(): void {}
}
