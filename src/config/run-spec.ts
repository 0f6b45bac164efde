import type { TraceOptions } from '../../replay/open-trace.ts';
import type { DeviceSpec } from '../backends/simulated/device.ts';
import type { SamplingKind } from '../backends/simulated/device-profile.ts';
import type { DeviceFault } from '../backends/simulated/faults.ts';
import type { HostFault } from '../backends/simulated/host-faults.ts';
import type { MemoryPlan } from '../backends/simulated/memory.ts';
import type { ModelShape } from '../backends/simulated/model-shape.ts';
import type { EngineConfig, EngineProfile } from '../core/index.ts';
import type { DigestMode } from '../simulation/digest.ts';
import type { WorkloadSpec } from '../simulation/generated-workload.ts';
import type { StreamSpec } from '../simulation/mixed-workload.ts';
import type { Target } from '../simulation/targets.ts';
import type { AlertExpectations } from './alerts-schema.ts';

/** Everything that decides a run, as plain frozen values: made by `resolveScenario`, read by `runSimulation`. */
export interface RunSpec {
  readonly scenario: string;
  readonly description: string;
  readonly seed: number;
  readonly model: ModelShape;
  readonly device: DeviceSpec;
  readonly tensorParallel: number;
  readonly timing: TimingSpec;
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
  readonly faults: readonly (DeviceFault | HostFault)[];
  readonly targets: readonly Target[];
  /** What `twinfer alerts test` holds the run to; nothing else reads it. */
  readonly alerts: AlertExpectations;
  readonly output: OutputSpec;
}

/** Where the times of a run come from. */
export interface TimingSpec {
  readonly model: 'calibrated' | 'roofline';
  /** Path of a device profile; null = the bundled one of the device, if the model is calibrated. */
  readonly deviceProfile: string | null;
  /** What the engine adds to the kernels: `twinfer`, `none`, the name of a bundled host profile, or the path of another. */
  readonly host: string;
  /** What requests are sampled with. */
  readonly sampling: SamplingKind;
}

export type RunWorkload =
  | { readonly kind: 'trace'; readonly path: string; readonly options: TraceOptions }
  | { readonly kind: 'generated'; readonly spec: WorkloadSpec; readonly priorities: readonly PriorityShare[] }
  /** `requestsMax`: of all streams together; Infinity = no limit. */
  | { readonly kind: 'mixed'; readonly streams: readonly StreamSpec[]; readonly requestsMax: number };

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
