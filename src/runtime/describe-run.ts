import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { HOST_NAMES } from '../config/timing-schema.ts';
import type { RunSpec, RunWorkload } from './run-spec.ts';

/** Longer arrays (length distributions) are told apart by their hash. */
const ARRAY_ENTRIES_MAX = 32;

/**
 * What decides the steps of a run, as plain JSON for the first line of a decision log: two runs with equal descriptions must
 * decide the same. Left out is what changes nothing in them (fast-forward, checks, targets, output).
 */
export function describeRun(spec: RunSpec): Record<string, unknown> {
  // Blocks follow from other settings: where both differ, the cause is to be named first.
  const { fastForward: _runs, checkIntervalNs: _checks, blocksTotal, hostBlocksTotal, ...engine } = spec.engine;
  const run = {
    scenario: spec.scenario,
    seed: spec.seed,
    workload: describeWorkload(spec.workload),
    engineProfile: spec.engineProfile,
    engine: { ...engine, blocksTotal, hostBlocksTotal },
    model: spec.model,
    device: spec.device,
    tensorParallel: spec.tensorParallel,
    timing: describeTiming(spec),
    acceptanceRates: spec.acceptanceRates,
    faults: spec.faults,
  };
  return JSON.parse(JSON.stringify(run, plain)) as Record<string, unknown>;
}

function describeWorkload(workload: RunWorkload): Record<string, unknown> {
  if (workload.kind !== 'trace') return { ...workload };
  return {
    kind: 'trace',
    file: basename(workload.path),
    sha256: fileHash(workload.path),
    options: workload.options,
  };
}

/** A profile by its content: it may have been fitted anew since. */
function describeTiming({ timing }: RunSpec): Record<string, unknown> {
  const { deviceProfile, host } = timing;
  return {
    ...timing,
    deviceProfile: deviceProfile === null ? null : { file: basename(deviceProfile), sha256: fileHash(deviceProfile) },
    host: HOST_NAMES.includes(host) ? host : { file: basename(host), sha256: fileHash(host) },
  };
}

/** SHA-256 of a file's bytes; null when it cannot be read, which whoever opens it as a trace reports better. */
function fileHash(path: string): string | null {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(1 << 20);
  let file = -1;
  try {
    file = openSync(path, 'r');
    for (let count = 1; count > 0; ) {
      count = readSync(file, chunk, 0, chunk.length, null);
      hash.update(chunk.subarray(0, count));
    }
    return hash.digest('hex');
  } catch {
    return null;
  } finally {
    if (file >= 0) closeSync(file);
  }
}

/** JSON has no infinity, and a distribution of thousands of values is no description. */
function plain(_name: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (Array.isArray(value) && value.length > ARRAY_ENTRIES_MAX) {
    const sha256 = createHash('sha256').update(JSON.stringify(value)).digest('hex');
    return { length: value.length, sha256 };
  }
  return value;
}
