import { CalibratedTimingModel } from './calibrated.ts';
import type { DeviceSpec } from './device.ts';
import type { DeviceOperators } from './device-operators.ts';
import type { DeviceProfile, SamplingKind } from './device-profile.ts';
import { captureTokensLimit, type EngineHostProfile } from './engine-host-profile.ts';
import type { ModelShape } from './model-shape.ts';
import { RooflineTimingModel } from './roofline.ts';
import { StallingTimingModel } from './stalling-timing.ts';
import type { TimingModel } from './timing-model.ts';

/** Where the times of a run come from, as plain values. */
export interface TimingSource {
  /** null: the roofline of the device. */
  readonly profile: DeviceProfile | null;
  /** null: kernels alone, one after the other. Only with a profile. */
  readonly host: EngineHostProfile | null;
  /** How requests are sampled. */
  readonly sampling: SamplingKind;
  /** Requests are sampled with a penalty on repetition, presence or frequency; false unless told. */
  readonly samplingPenalties?: boolean;
  /**
   * The scheduler takes the modelled time of Twinfer's own: microseconds, which two steps in flight hide. What vLLM's takes is in the host
   * profile.
   */
  readonly schedulerCosts: boolean;
}

export interface EngineTimingOptions {
  readonly tensorParallel: number;
  readonly blockSize: number;
  readonly tokensPerStepMax: number;
  readonly sequencesMax: number;
  /** Made before for this profile, model and parallelism: spares the tables. */
  readonly operators?: DeviceOperators;
}

export interface EngineTiming {
  readonly timing: TimingModel;
  /** The same without a memory (`StallingTimingModel`): may be asked for any load. */
  readonly steady: TimingModel;
  /** Parts of the model that lie outside of the measured tables, in words; empty on a roofline, which measured nothing. */
  readonly extrapolations: readonly string[];
}

/** The timing model of one server, cold: simulation, server and validation make theirs here. */
export function engineTiming(
  source: TimingSource,
  model: ModelShape,
  device: DeviceSpec,
  options: EngineTimingOptions,
): EngineTiming {
  const { profile, host, sampling, samplingPenalties = false } = source;
  if (profile === null) {
    const roofline = new RooflineTimingModel(model, device, options.blockSize, options);
    return { timing: roofline, steady: roofline, extrapolations: [] };
  }
  const calibrated = new CalibratedTimingModel(profile, model, host, {
    ...options,
    sampling,
    samplingPenalties,
  });
  const { extrapolations } = calibrated;
  const compileNs = host?.expertCompileNs ?? 0;
  // Experts in fp8 run kernels that are compiled beforehand (CUTLASS).
  if (model.experts === null || model.weightFormat === 'fp8' || host === null || compileNs === 0) {
    return { timing: calibrated, steady: calibrated, extrapolations };
  }
  const timing = new StallingTimingModel(calibrated, {
    experts: model.experts,
    captureTokens: captureTokensLimit(host, options.sequencesMax),
    tokensPerStepMax: options.tokensPerStepMax,
    compileNs,
  });
  return { timing, steady: calibrated, extrapolations };
}
