import type { EngineEvents } from './events.ts';
import type { HostPhase, HostTimer } from './host-timer.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * Times the host's own work, phase by phase, and tells listeners. What counts for which step:
 *
 *     | step s - 1 on the device | collect_finished | allocate_running | admit_waiting | build_batch | step s ...
 *                                | plan.hostNs of step s ......................................... |
 *
 * Collecting step s - 1 keeps step s waiting, so it is part of the host's time of step s; after a pause, of the first step
 * behind it. The sum of all phases is the sum of all plans' host time; phases that had nothing to do are in it and not told.
 */
export class HostWork {
  private readonly timer: HostTimer;
  private readonly events: EngineEvents | null;
  private collectedNs = 0;
  /** Of each later step of the run in progress: what the same batch costs again. */
  private laterCollectNs = 0;
  private laterAllocateNs = 0;
  private laterBuildNs = 0;

  constructor(timer: HostTimer, events: EngineEvents | null) {
    this.timer = timer;
    this.events = events;
  }

  /** Opens a phase; returns its mark. */
  start(): number {
    return this.timer.startNs();
  }

  /** A submission of `rows` rows has been applied; the later ones of its `steps` took what they would have taken alone. */
  collected(rows: number, steps: number, startNs: number): void {
    if (steps > 1) this.ranOn(steps - 1);
    const ns = this.timer.elapsedNs('collect_finished', rows, startNs);
    this.collectedNs += ns;
    if (this.events !== null) this.events.hostPhase('collect_finished', ns, 1);
  }

  /** Closes a phase of the plan being made, in which `work` sequences were handled; those without work are not told. */
  phase(plan: StepPlan, phase: HostPhase, work: number, startNs: number): void {
    const ns = this.timer.elapsedNs(phase, work, startNs);
    plan.hostNs += ns;
    if (this.events !== null && work > 0) this.events.hostPhase(phase, ns, 1);
  }

  /** The plan is complete: closes its last phase, and takes to its account what was collected before. */
  built(plan: StepPlan, startNs: number): void {
    this.phase(plan, 'build_batch', plan.rows, startNs);
    plan.hostNs += this.collectedNs;
    this.collectedNs = 0;
    if (plan.stepsMax === 1) return;
    const { timer } = this;
    this.laterCollectNs = timer.elapsedNs('collect_finished', plan.rows, timer.startNs());
    this.laterAllocateNs = timer.elapsedNs('allocate_running', plan.rows, timer.startNs());
    this.laterBuildNs = timer.elapsedNs('build_batch', plan.rows, timer.startNs());
    const admitNs = timer.elapsedNs('admit_waiting', 0, timer.startNs());
    plan.laterHostNs = this.laterCollectNs + this.laterAllocateNs + admitNs + this.laterBuildNs;
  }

  private ranOn(count: number): void {
    if (this.events === null) return;
    this.events.hostPhase('collect_finished', this.laterCollectNs, count);
    this.events.hostPhase('allocate_running', this.laterAllocateNs, count);
    this.events.hostPhase('build_batch', this.laterBuildNs, count);
  }
}
