import {
  type DeviceProfile,
  type EngineHostProfile,
  HOST_PROFILE_FILES,
  type TimingSource,
} from '../backends/simulated/index.ts';
import type { TimingSummary } from '../simulation/run-summary.ts';
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

/** The same in words, for the result of a run. */
export function timingSummary(
  { timing, device }: Pick<RunSpec, 'timing' | 'device'>,
  { host }: TimingSource,
  extrapolations: readonly string[],
): TimingSummary {
  return { model: timing.model, device: device.name, host: host?.engine ?? timing.host, extrapolations };
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
