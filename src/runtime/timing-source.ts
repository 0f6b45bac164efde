import {
  type DeviceProfile,
  type EngineHostProfile,
  type EngineTiming,
  HOST_PROFILE_FILES,
  type TimingSource,
} from '../backends/simulated/index.ts';
import type { RunContext } from '../simulation/run-summary.ts';
import { bundledDeviceProfile, readDeviceProfile } from './device-profile-file.ts';
import { bundledHostProfile, readHostProfile } from './host-profile-file.ts';
import { InputError } from './input-error.ts';
import type { RunSpec } from './run-spec.ts';

/**
 * The profiles that a run's times come from, read and checked. Throws InputError for a file that cannot be read or is of another device,
 * ProfileError for one that is no profile.
 */
export function timingSource({ timing, device }: Pick<RunSpec, 'timing' | 'device'>): TimingSource {
  const { model, deviceProfile, host, samplingFilters } = timing;
  const calibrated = model === 'calibrated';
  return {
    profile: calibrated ? deviceProfileOf(deviceProfile, device.name) : null,
    host: calibrated ? hostProfileOf(host) : null,
    samplingFilters,
    schedulerCosts: host !== 'none',
  };
}

/** Where a run's times come from in words, and what says how far off they may be. */
export function timingContext(
  spec: RunSpec,
  source: TimingSource,
  { steady, extrapolations }: EngineTiming,
): Pick<RunContext, 'timing' | 'server'> {
  const { timing, device, model, engine } = spec;
  const measured = source.host ?? (source.profile === null ? null : bundledHostProfile());
  return {
    timing: { model: timing.model, device: device.name, host: source.host?.engine ?? timing.host, extrapolations },
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

function deviceProfileOf(path: string | null, device: string): DeviceProfile {
  const profile = path === null ? bundledDeviceProfile(device)! : readDeviceProfile(path);
  if (profile.device === device) return profile;
  throw new InputError(`profile ${path}: is of ${profile.device}; the device of the scenario is ${device}`);
}

function hostProfileOf(host: string): EngineHostProfile | null {
  if (host === 'twinfer' || host === 'none') return null;
  return host in HOST_PROFILE_FILES ? bundledHostProfile(host) : readHostProfile(host);
}
