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
import { HostFit } from '../calibration/fit-host.ts';
import type { HostProfileHead } from '../calibration/host-coefficients.ts';
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

/** Told how far a validation or a fit is, as a share of 1; may be called often. */
export type WorkHook = (ratio: number) => void;

/** A closed loop takes about this share of the time of a run with its stages. */
const LOOP_WORK = 1 / 40;

interface Loaded {
  readonly targets: ReadonlyMap<MeasuredRun, ServingTarget>;
  readonly skipped: ReadonlyMap<MeasuredRun, string>;
}

/** Runs every measured stage through the engine. Throws InputError for files that cannot be read, MeasurementError for their content. */
export function validateServing(options: ValidateServingOptions, hook: WorkHook = () => {}): ServingValidation {
  const startNs = wallNs();
  const { host, seed, leaveOneModelOut } = options;
  const files = readFiles(options.files);
  const runs = measuredRuns(files.filter(({ text }) => !isClosedLoop(text)));
  const loops = files
    .filter(({ text }) => isClosedLoop(text))
    .flatMap(({ file, text }) => closedLoopMeasurements(file, text));
  const loaded = load(runs);
  // A fit without each model takes about as long as everything after it.
  const work = new Work(hook, (leaveOneModelOut ? 2 : 1) * runs.length + loops.length * LOOP_WORK);
  const fit = leaveOneModelOut ? fitted(loaded, host, work, runs.length) : null;
  const compared = validated(runs, loaded, fit === null ? () => host : hostsWithout(fit), seed, work);
  const stages = withIntervals(compared, fit === null ? host.residuals : heldOutErrors(compared));
  const closedLoops = validateLoops(loops, bundledDeviceProfile(deviceSpec('H100-SXM').name)!, host, () =>
    work.done(LOOP_WORK),
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

class Work {
  private readonly hook: WorkHook;
  private readonly total: number;
  private ended = 0;

  constructor(hook: WorkHook, total: number) {
    this.hook = hook;
    this.total = total;
  }

  done(work: number): void {
    this.ended += work;
    if (this.total > 0) this.hook(Math.min(1, this.ended / this.total));
  }
}

function fitted({ targets }: Loaded, about: HostProfileHead, work: Work, fitWork: number): HostFit {
  const pass = (passes: number) => work.done(fitWork / passes);
  return new HostFit([...targets.values()], about, { pass });
}

function validated(
  runs: readonly MeasuredRun[],
  { targets, skipped }: Loaded,
  hostOf: (model: string) => EngineHostProfile,
  seed: number,
  work: Work,
): ValidatedStage[] {
  return runs.flatMap((run) => {
    const target = targets.get(run);
    const stages =
      target === undefined ? skippedRun(run, skipped.get(run)!) : validateRun(target, hostOf(run.model), seed);
    work.done(1);
    return stages;
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
  hook: WorkHook = () => {},
): EngineHostProfile {
  const runs = measuredRuns(readFiles(files));
  const loaded = load(runs);
  const sources = files.map((file) => {
    const bytes = withPath('measurements', file, () => readFileSync(file));
    return `${basename(file)} sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  });
  const work = new Work(hook, 2 * runs.length);
  const fit = fitted(loaded, { engine, createdOn, sources }, work, runs.length);
  return { ...fit.solve(), residuals: heldOutErrors(validated(runs, loaded, hostsWithout(fit), SEED, work)) };
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
