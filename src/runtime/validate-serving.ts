import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import {
  DeviceError,
  deviceSpec,
  type EngineHostProfile,
  MemoryError,
  ModelError,
  PROFILED_DEVICES,
} from '../backends/simulated/index.ts';
import { HostFit, type HostFitHooks } from '../calibration/fit-host.ts';
import { type MeasuredRun, measuredRuns } from '../calibration/serving-measurement.ts';
import { ServingTarget } from '../calibration/serving-run.ts';
import {
  heldOutErrors,
  skippedRun,
  type ValidatedStage,
  type ValidationSummary,
  validateRun,
  validationSummary,
  withIntervals,
} from '../calibration/serving-validation.ts';
import { bundledDeviceProfile } from './device-profile-file.ts';
import { withPath } from './input-error.ts';
import { wallNs } from './system-clock.ts';

export interface ServingValidation {
  readonly leaveOneModelOut: boolean;
  readonly seed: number;
  readonly wallSeconds: number;
  readonly stages: readonly ValidatedStage[];
  readonly summary: ValidationSummary;
}

export interface ValidateServingOptions {
  readonly files: readonly string[];
  readonly host: EngineHostProfile;
  readonly seed: number;
  /** Refits the host for every model without its measurements: minutes. */
  readonly leaveOneModelOut: boolean;
}

interface Loaded {
  readonly targets: ReadonlyMap<MeasuredRun, ServingTarget>;
  readonly skipped: ReadonlyMap<MeasuredRun, string>;
}

/** Runs every measured stage through the engine. Throws InputError for files that cannot be read, MeasurementError for their content. */
export function validateServing(options: ValidateServingOptions, hooks: HostFitHooks = {}): ServingValidation {
  const startNs = wallNs();
  const { host, seed, leaveOneModelOut } = options;
  const runs = readRuns(options.files);
  const { targets, skipped } = load(runs);
  const fit = leaveOneModelOut ? new HostFit([...targets.values()], host, hooks) : null;
  const hosts = new Map<string, EngineHostProfile>();
  const hostOf = (model: string) => {
    if (fit === null) return host;
    const known = hosts.get(model) ?? fit.solve(model);
    hosts.set(model, known);
    return known;
  };
  const stages = runs.flatMap((run) => {
    const target = targets.get(run);
    return target === undefined ? skippedRun(run, skipped.get(run)!) : validateRun(target, hostOf(run.model), seed);
  });
  const banded = fit === null ? stages : withIntervals(stages, heldOutErrors(stages));
  return {
    leaveOneModelOut,
    seed,
    wallSeconds: (wallNs() - startNs) / 1e9,
    stages: banded,
    summary: validationSummary(banded),
  };
}

/** The host profile that the measurements of `files` give. */
export function calibrateHost(
  files: readonly string[],
  engine: string,
  createdOn: string,
  hooks: HostFitHooks = {},
): EngineHostProfile {
  const { targets } = load(readRuns(files));
  const sources = files.map((file) => {
    const bytes = withPath('measurements', file, () => readFileSync(file));
    return `${basename(file)} sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  });
  return new HostFit([...targets.values()], { engine, createdOn, sources }, hooks).solve();
}

function readRuns(files: readonly string[]): MeasuredRun[] {
  return measuredRuns(
    files.map((file) => ({
      file: basename(file),
      text: withPath('measurements', file, () => readFileSync(file, 'utf8')),
    })),
  );
}

function load(runs: readonly MeasuredRun[]): Loaded {
  const targets = new Map<MeasuredRun, ServingTarget>();
  const skipped = new Map<MeasuredRun, string>();
  for (const run of runs) {
    try {
      const device = deviceSpec(/^H100( SXM.*)?$/.test(run.hardware) ? 'H100-SXM-80GB' : run.hardware).name;
      const profile = bundledDeviceProfile(device);
      if (profile === null) skipped.set(run, noProfile(run.hardware));
      else targets.set(run, new ServingTarget(run, profile));
    } catch (error) {
      if (error instanceof DeviceError) skipped.set(run, noProfile(run.hardware));
      else if (error instanceof ModelError || error instanceof MemoryError) skipped.set(run, error.message);
      else throw error;
    }
  }
  return { targets, skipped };
}

function noProfile(hardware: string): string {
  return `${hardware}: no device profile; there is one of ${PROFILED_DEVICES.join(', ')}`;
}
