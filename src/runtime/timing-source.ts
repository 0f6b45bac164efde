import {
  type DeviceProfile,
  type EngineHostProfile,
  type EngineTiming,
  HOST_PROFILE_FILES,
  type SimulatedSpec,
  samplesWithPenalties,
  shardModel,
  type TimingSource,
} from '../backends/simulated/index.ts';
import { closestTable } from '../backends/simulated/kernels/attention-tables.ts';
import type { RecordedRun } from '../simulation/run-recorder.ts';
import type { RunContext } from '../simulation/run-summary.ts';
import { bundledDeviceProfile, readDeviceProfile } from './device-profile-file.ts';
import { bundledHostProfile, readHostProfile } from './host-profile-file.ts';
import { InputError } from './input-error.ts';
import type { RunSpec } from './run-spec.ts';

/**
 * The profiles that a run's times come from, read and checked. Throws InputError for a file that cannot be read or is of another device,
 * ProfileError for one that is no profile.
 */
export function timingSource({ timing, device, model }: Pick<RunSpec, 'timing' | 'device' | 'model'>): TimingSource {
  const { deviceProfile, host, sampling } = timing;
  const calibrated = timing.model === 'calibrated';
  return {
    profile: calibrated ? deviceProfileOf(deviceProfile, device.name) : null,
    host: calibrated ? hostProfileOf(host) : null,
    sampling,
    samplingPenalties: samplesWithPenalties(model.name),
    schedulerCosts: host !== 'none',
  };
}

/** The simulated device of a run; without `answers` its tokens are implied. */
export function simulatedSpec(
  spec: RunSpec,
  timing: TimingSource,
  answers: SimulatedSpec['answers'] = null,
): SimulatedSpec {
  const { model, device, tensorParallel, memory, faults, seed, acceptanceRates } = spec;
  return { kind: 'simulated', model, device, tensorParallel, memory, timing, faults, seed, acceptanceRates, answers };
}

/** Where a run's times come from in words, and what says how far off they may be. */
export function timingContext(
  spec: RunSpec,
  source: TimingSource,
  { steady, extrapolations }: EngineTiming,
  run: Pick<RecordedRun, 'sequenceTokensMax'>,
): Pick<RunContext, 'timing' | 'server'> {
  const { timing, device, model, engine } = spec;
  const measured = source.host ?? (source.profile === null ? null : bundledHostProfile());
  return {
    timing: {
      model: timing.model,
      device: device.name,
      host: source.host?.engine ?? timing.host,
      extrapolations: [...extrapolations, ...longContexts(source.profile, spec, run.sequenceTokensMax)],
    },
    server: {
      limits: engine,
      // With drafts the tokens of a step depend on what is accepted.
      timing: engine.speculation === null ? steady : null,
      model: {
        tensorParallel: spec.tensorParallel,
        family: model.experts === null ? 'dense' : 'experts',
        weightFormat: model.weightFormat,
        extrapolations: extrapolations.length,
      },
      basis: measured === null ? null : { engine: measured.engine, residuals: measured.residuals },
    },
  };
}

/** Whether a run had longer sequences than anybody measured attention for. */
function longContexts(profile: DeviceProfile | null, spec: RunSpec, sequenceTokensMax: number): string[] {
  if (profile === null) return [];
  const { model, tensorParallel } = spec;
  const { kvWidth } = shardModel(model, tensorParallel);
  const { headDim, heads, kvElementBytes } = model;
  const shape = { heads: heads / tensorParallel, kvHeads: kvWidth / headDim, headDim, kvElementBytes };
  const measured = closestTable(profile.generationAttention, shape).contexts.at(-1)!;
  if (sequenceTokensMax <= measured) return [];
  return [`attention over ${sequenceTokensMax} tokens: the tables end at ${measured}`];
}

function deviceProfileOf(path: string | null, device: string): DeviceProfile {
  const profile = path === null ? bundledDeviceProfile(device)! : readDeviceProfile(path);
  if (profile.device === device) return profile;
  throw new InputError(`profile ${path}: is of ${profile.device}; the device of the scenario is ${device}`);
}

function hostProfileOf(host: string): EngineHostProfile | null {
  if (host === 'twinfer' || host === 'none') return null;
  return host in HOST_PROFILE_FILES ? bundledHostProfile(host) : readHostProfile(host);
}
