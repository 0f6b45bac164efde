import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  DEVICE_PROFILE_FILES,
  type DeviceProfile,
  ProfileError,
  parseDeviceProfile,
} from '../backends/simulated/index.ts';
import { withPath } from './input-error.ts';

/** Folder of the bundled profiles: beside the simulated backend, in sources and in the build. */
export const PROFILE_FOLDER = fileURLToPath(new URL('../backends/simulated/profiles/', import.meta.url));

/** Read once: a profile never changes, and reading one takes as long as a short run. */
const READ = new Map<string, DeviceProfile>();

/** The bundled profile of a device; null when there is none. */
export function bundledDeviceProfile(device: string): DeviceProfile | null {
  const name = DEVICE_PROFILE_FILES[device];
  if (name === undefined) return null;
  const profile = READ.get(name) ?? readDeviceProfile(`${PROFILE_FOLDER}${name}`);
  READ.set(name, profile);
  return profile;
}

/** Reads and checks a profile. Throws InputError for a file that cannot be read, ProfileError for one that is no profile. */
export function readDeviceProfile(path: string): DeviceProfile {
  const text = withPath('profile', path, () => readFileSync(path, 'utf8'));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ProfileError(path, 'is no JSON');
  }
  return parseDeviceProfile(path, json);
}
