import { readFileSync } from 'node:fs';
import { type EngineHostProfile, HOST_PROFILE_FILES, ProfileError } from '../backends/simulated/index.ts';
import { parseHostProfile } from '../backends/simulated/parse-host-profile.ts';
import { PROFILE_FOLDER } from './device-profile-file.ts';
import { withPath } from './input-error.ts';

/** An engine that comes with Twinfer as data. */
export function bundledHostProfile(engine: keyof typeof HOST_PROFILE_FILES = 'vllm-0.15'): EngineHostProfile {
  return readHostProfile(`${PROFILE_FOLDER}${HOST_PROFILE_FILES[engine]}`);
}

/** Reads and checks a profile. Throws InputError for a file that cannot be read, ProfileError for one that is no profile. */
export function readHostProfile(path: string): EngineHostProfile {
  const text = withPath('host profile', path, () => readFileSync(path, 'utf8'));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ProfileError(path, 'is no JSON');
  }
  return parseHostProfile(path, json);
}
