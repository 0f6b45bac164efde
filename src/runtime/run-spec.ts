import type { Engine, EngineEvents, VirtualClock } from '../core/index.ts';
import type { RecordedRun } from '../simulation/run-recorder.ts';
import type { RunSummary } from '../simulation/run-summary.ts';

export type { OutputSpec, PriorityShare, RunSpec, RunWorkload } from '../config/run-spec.ts';

/** How far a run is; for display only. */
export interface RunProgress {
  readonly requestsEnded: number;
  /** null when the workload does not know. */
  readonly requestsExpected: number | null;
  /** Share of the trace file that is read; null when the workload is generated. */
  readonly traceReadRatio: number | null;
  readonly simulatedNs: number;
  readonly durationExpectedNs: number | null;
}

export interface RunHooks {
  /** Called a few times a second. */
  progress?(state: RunProgress): void;
  /** The command line that asked for the run, for its report. */
  readonly command?: string;
  /** Who else listens to the run. */
  readonly observers?: readonly RunObserver[];
}

/** Listens to a simulated run from its first event to its last. */
export interface RunObserver {
  readonly events: EngineEvents;
  /** It must see each step on its own: no runs of steps are submitted. */
  readonly singleSteps?: boolean;
  /** Once, before the first request. Samples are tasks of `clock`; `ended` tells when to arm no more of them. */
  attach(engine: Engine, clock: VirtualClock, ended: () => boolean): void;
  /** Once, after the last event of a run that came to its end. */
  close?(endNs: number): void;
}

/** Comparison with a decision log. */
export interface Verification {
  readonly stepsCompared: number;
  /** First difference in one line; null = none. */
  readonly difference: string | null;
}

export interface RunOutcome {
  /** What the recorder saw, for the text report. */
  readonly run: RecordedRun;
  /** The document of `--json`, targets included. */
  readonly summary: RunSummary;
  /** null when no decision log was compared. */
  readonly verification: Verification | null;
  /** Files written, as paths. */
  readonly files: readonly string[];
  /** Rows of a trace that were skipped, and what was wrong with the first of them. */
  readonly badRows: number;
  readonly firstBadRow: string | null;
}
