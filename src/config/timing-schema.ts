import { existsSync } from 'node:fs';
import { z } from 'zod';
import { HOST_PROFILE_FILES, PROFILED_DEVICES } from '../backends/simulated/bundled-profiles.ts';
import { defaultSampling } from '../backends/simulated/model-catalogue.ts';
import type { EngineProfile } from '../core/index.ts';
import { beside } from './beside.ts';
import type { LoadedScenario } from './load-scenario.ts';
import type { TimingSpec } from './run-spec.ts';

export const TIMING_MODELS = ['calibrated', 'roofline'] as const;
/** Hosts by name; anything else is the path of a profile. */
export const HOST_NAMES: readonly string[] = [...Object.keys(HOST_PROFILE_FILES), 'twinfer', 'none'];

/** How long things take on the simulated device. */
export const timingSchema = z
  .strictObject({
    model: z
      .enum(TIMING_MODELS)
      .describe(
        'calibrated: measured kernels of the device and the engine around them; roofline: from the rates of the device. Without it calibrated where the device has a profile',
      )
      .optional(),
    host: z
      .string()
      .min(1)
      .describe(
        'What the engine adds to the kernels: vllm-0.15 (fitted to measurements), twinfer (its own scheduler, nothing else: no server of it on a GPU has been measured), none, or the path of a profile. Without it that of the engine profile',
      )
      .optional(),
    device_profile: z
      .string()
      .min(1)
      .describe('Device profile made by twinfer calibrate, relative to the scenario; without it the bundled one')
      .optional(),
    sampling: z
      .enum(['plain', 'top-p', 'top-k-and-top-p'])
      .describe(
        "What requests are sampled with: the sampler sorts for top-p, and top-k; without it what the model's generation_config is known to say",
      )
      .optional(),
  })
  .describe('How long things take on the simulated device');

const SAMPLING = { plain: 'plain', 'top-p': 'topP', 'top-k-and-top-p': 'topKTopP' } as const;

export type TimingSection = z.output<typeof timingSchema>;

/** Default: the calibrated model where the device has a profile, with the host of the engine that the profile of policies is of. */
export function resolveTiming(
  loaded: LoadedScenario,
  section: TimingSection,
  of: { readonly engine: EngineProfile; readonly device: string; readonly model: string },
): TimingSpec {
  const profiled = section.device_profile !== undefined || PROFILED_DEVICES.includes(of.device);
  const model = section.model ?? (profiled ? 'calibrated' : 'roofline');
  if (model === 'calibrated' && !profiled) {
    const allowed = `allowed: roofline, a device_profile, or a device that has one (${PROFILED_DEVICES.join(', ')})`;
    loaded.fail(['timing', 'model'], `calibrated is not allowed for ${of.device}, which has no profile; ${allowed}`);
  }
  if (model === 'roofline' && section.device_profile !== undefined) {
    loaded.fail(['timing', 'device_profile'], 'is not read by the roofline model; allowed: with calibrated only');
  }
  const host = section.host ?? (model === 'calibrated' && of.engine === 'vllm-v1' ? 'vllm-0.15' : 'twinfer');
  const ownHost = host === 'twinfer' || host === 'none';
  if (model === 'roofline' && !ownHost) {
    loaded.fail(['timing', 'host'], `${host} is not allowed with the roofline model; allowed: twinfer, none`);
  }
  return {
    model,
    deviceProfile: existing(loaded, 'device_profile', section.device_profile),
    host: HOST_NAMES.includes(host) ? host : existing(loaded, 'host', host)!,
    sampling: section.sampling === undefined ? defaultSampling(of.model) : SAMPLING[section.sampling],
  };
}

function existing(loaded: LoadedScenario, field: string, path: string | undefined): string | null {
  if (path === undefined) return null;
  const file = beside(loaded, path);
  if (existsSync(file)) return file;
  const names = field === 'host' ? `${HOST_NAMES.join(', ')}, or the ` : '';
  return loaded.fail(
    ['timing', field],
    `${file} does not exist; allowed: ${names}path of a profile, relative to the scenario`,
  );
}
