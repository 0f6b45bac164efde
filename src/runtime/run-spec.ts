import type { TraceOptions } from '../../replay/open-trace.ts';
import type { DeviceSpec } from '../backends/simulated/device.ts';
import type { DeviceFault } from '../backends/simulated/faults.ts';
import type { MemoryPlan } from '../backends/simulated/memory.ts';
import type { ModelShape } from '../backends/simulated/model-shape.ts';
import type { EngineConfig, EngineProfile } from '../core/index.ts';
import type { DigestMode } from '../simulation/digest.ts';
import type { WorkloadSpec } from '../simulation/generated-workload.ts';
import type { RecordedRun } from '../simulation/run-recorder.ts';
import type { RunSummary } from '../simulation/run-summary.ts';
import type { Target } from '../simulation/targets.ts';

/** Everything that decides a run, as plain frozen values: made by `resolveScenario`, read by `runSimulation`. */
export interface RunSpec {
  readonly scenario: string;
  readonly description: string;
  readonly seed: number;
  readonly model: ModelShape;
  readonly device: DeviceSpec;
  readonly tensorParallel: number;
  /** Memory of each GPU; its blocks are in `engine`. */
  readonly memory: MemoryPlan;
  readonly engineProfile: EngineProfile;
  readonly engine: EngineConfig;
  /**
   * Simulated speculation: probability that the draft at each position is accepted, given those before it; the last one
   * holds for the rest. null without speculation.
   */
  readonly acceptanceRates: readonly number[] | null;
  readonly workload: RunWorkload;
  readonly faults: readonly DeviceFault[];
  readonly targets: readonly Target[];
  readonly output: OutputSpec;
}

export type RunWorkload =
  | { readonly kind: 'trace'; readonly path: string; readonly options: TraceOptions }
  | { readonly kind: 'generated'; readonly spec: WorkloadSpec; readonly priorities: readonly PriorityShare[] };

/** A share of the requests of a generated workload; shares need not sum to 1. */
export interface PriorityShare {
  readonly share: number;
  /** Smaller is more urgent. */
  readonly priority: number;
}

export interface OutputSpec {
  /** Folder for per-request records, time series and the HTML report; null = none. It is made when missing. */
  readonly directory: string | null;
  readonly digest: DigestMode;
  /** File for the decision log; null = off. */
  readonly decisionLogFile: string | null;
  /** Decision log that the run must reproduce step for step; null = none. */
  readonly verifyFile: string | null;
}

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
