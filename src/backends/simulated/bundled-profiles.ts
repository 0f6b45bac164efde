/** Device profiles that come with Twinfer: file in `profiles/`, by name of the device. */
export const DEVICE_PROFILE_FILES: Readonly<Record<string, string>> = { 'H100-SXM-80GB': 'h100-sxm.json' };

/** Engine host profiles that come with Twinfer: file in `profiles/`, by name of the engine. */
export const HOST_PROFILE_FILES: Readonly<Record<string, string>> = { 'vllm-0.15': 'vllm-0.15-host.json' };

/** Devices that have a bundled profile. */
export const PROFILED_DEVICES: readonly string[] = Object.keys(DEVICE_PROFILE_FILES);
