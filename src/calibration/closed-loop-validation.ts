import { type DeviceProfile, type EngineHostProfile, MemoryError, ModelError } from '../backends/simulated/index.ts';
import type { ClosedLoopMeasurement } from './closed-loop-measurement.ts';
import { ClosedLoops } from './closed-loop-run.ts';
import { quantile } from './residuals.ts';

/** A closed loop against its prediction; predicted / measured - 1. */
export interface ValidatedLoop extends ClosedLoopMeasurement {
  readonly status: 'compared' | 'skipped';
  readonly reason: string | null;
  readonly ttftMeanError: number | null;
  readonly tpotMeanError: number | null;
}

export interface LoopSummary {
  readonly backend: string;
  readonly model: string;
  readonly fp8: boolean;
  readonly count: number;
  readonly ttftMean: LoopErrors;
  readonly tpotMean: LoopErrors;
}

export interface LoopErrors {
  readonly medianAbsError: number;
  /** Median of the signed errors. */
  readonly bias: number;
}

/** Systems of the file that the profile is of. */
const H100_SYSTEM = 'h100_sxm';

/** Every closed loop of an H100, whatever engine it measured, on this host. */
export function validateLoops(
  measurements: readonly ClosedLoopMeasurement[],
  profile: DeviceProfile,
  host: EngineHostProfile,
  /** After each of them. */
  done: () => void = () => {},
): ValidatedLoop[] {
  const loops = new ClosedLoops(profile, host);
  return measurements.map((measured) => {
    const loop = validateLoop(loops, measured);
    done();
    return loop;
  });
}

function validateLoop(loops: ClosedLoops, measured: ClosedLoopMeasurement): ValidatedLoop {
  const skipped = { ...measured, status: 'skipped' as const, ttftMeanError: null, tpotMeanError: null };
  if (measured.system !== H100_SYSTEM) return { ...skipped, reason: `${measured.system}: no device profile` };
  try {
    const { ttftMeanMs, tpotMeanMs } = loops.predict(measured);
    return {
      ...measured,
      status: 'compared',
      reason: null,
      ttftMeanError: ttftMeanMs / measured.ttftMeanMs - 1,
      tpotMeanError: tpotMeanMs / measured.tpotMeanMs - 1,
    };
  } catch (error) {
    if (!(error instanceof ModelError || error instanceof MemoryError)) throw error;
    return { ...skipped, reason: error.message };
  }
}

/** By backend, model and format, in the order of the rows. */
export function loopSummaries(loops: readonly ValidatedLoop[]): LoopSummary[] {
  const groups = new Map<string, ValidatedLoop[]>();
  for (const loop of loops) {
    if (loop.status === 'skipped') continue;
    const key = `${loop.backend} ${loop.model} ${loop.fp8}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [loop]);
    else group.push(loop);
  }
  return [...groups.values()].map((group) => {
    const { backend, model, fp8 } = group[0]!;
    return {
      backend,
      model,
      fp8,
      count: group.length,
      ttftMean: errorsOf(group.map((loop) => loop.ttftMeanError!)),
      tpotMean: errorsOf(group.map((loop) => loop.tpotMeanError!)),
    };
  });
}

function errorsOf(errors: readonly number[]): LoopErrors {
  const rising = (values: readonly number[]) => [...values].sort((a, b) => a - b);
  return { medianAbsError: quantile(rising(errors.map(Math.abs)), 0.5), bias: quantile(rising(errors), 0.5) };
}
