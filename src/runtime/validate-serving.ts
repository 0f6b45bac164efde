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
import { closedLoopMeasurements, isClosedLoop } from '../calibration/closed-loop-measurement.ts';
import {
  type LoopSummary,
  loopSummaries,
  type ValidatedLoop,
  validateLoops,
} from '../calibration/closed-loop-validation.ts';
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
  type WorstStage,
  withIntervals,
  worstStages,
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
  /** The ten worst, by their farthest mean. */
  readonly worst: readonly WorstStage[];
  /** Servers that a fixed number of clients asked; empty without a file of such. */
  readonly closedLoops: readonly ValidatedLoop[];
  /** By backend and model. The host profile is of one engine: what others are off by is how their hosts differ. */
  readonly closedLoopSummary: readonly LoopSummary[];
}

const WORST = 10;
const SEED = 1;

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
  const files = readFiles(options.files);
  const runs = measuredRuns(files.filter(({ text }) => !isClosedLoop(text)));
  const { targets, skipped } = load(runs);
  const fit = leaveOneModelOut ? new HostFit([...targets.values()], host, hooks) : null;
  const compared = validated(runs, targets, skipped, fit === null ? () => host : hostsWithout(fit), seed);
  const stages = withIntervals(compared, fit === null ? host.residuals : heldOutErrors(compared));
  const closedLoops = validateLoops(
    files.filter(({ text }) => isClosedLoop(text)).flatMap(({ file, text }) => closedLoopMeasurements(file, text)),
    bundledDeviceProfile(deviceSpec('H100-SXM').name)!,
    host,
  );
  return {
    leaveOneModelOut,
    seed,
    wallSeconds: (wallNs() - startNs) / 1e9,
    stages,
    summary: validationSummary(stages),
    worst: worstStages(stages, WORST),
    closedLoops,
    closedLoopSummary: loopSummaries(closedLoops),
  };
}

function validated(
  runs: readonly MeasuredRun[],
  targets: ReadonlyMap<MeasuredRun, ServingTarget>,
  skipped: ReadonlyMap<MeasuredRun, string>,
  hostOf: (model: string) => EngineHostProfile,
  seed: number,
): ValidatedStage[] {
  return runs.flatMap((run) => {
    const target = targets.get(run);
    return target === undefined ? skippedRun(run, skipped.get(run)!) : validateRun(target, hostOf(run.model), seed);
  });
}

/** The fit without each model, made once. */
function hostsWithout(fit: HostFit): (model: string) => EngineHostProfile {
  const hosts = new Map<string, EngineHostProfile>();
  return (model) => {
    const host = hosts.get(model) ?? fit.solve(model);
    hosts.set(model, host);
    return host;
  };
}

/** The host profile that the measurements of `files` give, with the errors of every model's stages by the fit without it. */
export function calibrateHost(
  files: readonly string[],
  engine: string,
  createdOn: string,
  hooks: HostFitHooks = {},
): EngineHostProfile {
  const runs = measuredRuns(readFiles(files));
  const { targets, skipped } = load(runs);
  const sources = files.map((file) => {
    const bytes = withPath('measurements', file, () => readFileSync(file));
    return `${basename(file)} sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  });
  const fit = new HostFit([...targets.values()], { engine, createdOn, sources }, hooks);
  return { ...fit.solve(), residuals: heldOutErrors(validated(runs, targets, skipped, hostsWithout(fit), SEED)) };
}

interface NamedText {
  readonly file: string;
  readonly text: string;
}

function readFiles(files: readonly string[]): NamedText[] {
  return files.map((file) => ({
    file: basename(file),
    text: withPath('measurements', file, () => readFileSync(file, 'utf8')),
  }));
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
