import { readFileSync } from 'node:fs';
import type { TraceOptions } from '../../replay/open-trace.ts';
import { DeviceError, type DeviceSpec, deviceSpec } from '../backends/simulated/device.ts';
import type { DeviceFault } from '../backends/simulated/faults.ts';
import type { HostFault } from '../backends/simulated/host-faults.ts';
import { MemoryError, type MemoryPlan, planMemory } from '../backends/simulated/memory.ts';
import { catalogueModel } from '../backends/simulated/model-catalogue.ts';
import { ModelError, type ModelShape, modelShape } from '../backends/simulated/model-shape.ts';
import { ConfigError, ENGINE_PROFILES, type EngineConfig, engineConfig } from '../core/index.ts';
import { type AlertExpectations, alertExpectations } from './alerts-schema.ts';
import { beside } from './beside.ts';
import {
  ENGINE_DURATIONS,
  ENGINE_KNOBS,
  type EngineSection,
  engineChanges,
  SPECULATION_KNOBS,
  speculationConfig,
} from './engine-schema.ts';
import { faultOf } from './fault-schema.ts';
import type { LoadedScenario } from './load-scenario.ts';
import type { OutputSpec, RunSpec, RunWorkload } from './run-spec.ts';
import { targetOf } from './target-schema.ts';
import { resolveTiming, type TimingSection } from './timing-schema.ts';
import { durationNs, sizeBytes } from './units.ts';
import type { TraceSection } from './workload-schema.ts';
import { streamSpecs, workloadSpec } from './workload-spec.ts';

type Changes<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** What the command line changes in a scenario. Undefined leaves things as they are. */
export interface ScenarioOverrides {
  readonly seed?: number | undefined;
  readonly engine?: Changes<EngineSection> | undefined;
  readonly timing?: Changes<TimingSection> | undefined;
  /** Replays this trace instead of the scenario's workload; relative to the working directory, not to the scenario. */
  readonly tracePath?: string | undefined;
  readonly workload?: Changes<WorkloadOverrides> | undefined;
  readonly output?: Changes<OutputSpec> | undefined;
}

export interface WorkloadOverrides {
  readonly rateScale: number;
  readonly timeScale: number;
  readonly window: { readonly startNs: number; readonly endNs: number };
  readonly requestsMax: number;
  readonly promptTokensMax: number;
  readonly outputTokensMax: number;
  readonly skipBadRows: boolean;
}

/** Scenario and overrides as one frozen value. Throws ScenarioError with file, line and column of what cannot be. */
export function resolveScenario(loaded: LoadedScenario, overrides: ScenarioOverrides = {}): RunSpec {
  const { scenario } = loaded;
  const seed = overrides.seed ?? scenario.seed;
  const model = resolveModel(loaded);
  const device = placed(loaded, ['device', 'name'], () => deviceSpec(scenario.device.name));
  const section = merged(scenario.engine, overrides.engine ?? {});
  const memory = resolveMemory(loaded, section, model, device);
  return deepFreeze({
    scenario: scenario.name,
    description: scenario.description,
    seed,
    model,
    device,
    tensorParallel: scenario.device.tensor_parallel_size,
    timing: resolveTiming(loaded, merged(scenario.timing, overrides.timing ?? {}), {
      engine: section.profile,
      device: device.name,
      model: model.name,
    }),
    memory,
    engineProfile: section.profile,
    engine: resolveEngine(loaded, section, model, memory),
    acceptanceRates: scenario.speculation?.acceptance_rates ?? null,
    workload: resolveWorkload(loaded, overrides),
    faults: resolveFaults(loaded),
    targets: scenario.targets.map(targetOf),
    alerts: resolveAlerts(loaded),
    output: {
      directory: overrides.output?.directory ?? null,
      digest: overrides.output?.digest ?? 'records',
      decisionLogFile: overrides.output?.decisionLogFile ?? null,
      verifyFile: overrides.output?.verifyFile ?? null,
    },
  });
}

function resolveMemory(
  loaded: LoadedScenario,
  section: EngineSection,
  model: ModelShape,
  device: DeviceSpec,
): MemoryPlan {
  const profile = ENGINE_PROFILES[section.profile];
  const plan = placed(loaded, ['device'], () =>
    planMemory(model, device, {
      tensorParallel: loaded.scenario.device.tensor_parallel_size,
      blockSize: section.block_size ?? profile.blockSize,
      tokensPerStepMax: section.max_num_batched_tokens ?? profile.tokensPerStepMax,
      sequencesMax: section.max_num_seqs ?? profile.sequencesMax,
      gpuMemoryUtilization: loaded.scenario.device.gpu_memory_utilization,
      hostSwapBytes: section.swap_space === undefined ? 0 : sizeBytes(section.swap_space),
      blocksOverride: section.num_gpu_blocks ?? null,
    }),
  );
  // Stated in blocks, the host pool is as large as asked for, on the device's side as well.
  return section.num_cpu_blocks === undefined ? plan : { ...plan, hostBlocksTotal: section.num_cpu_blocks };
}

function resolveEngine(
  loaded: LoadedScenario,
  section: EngineSection,
  model: ModelShape,
  memory: MemoryPlan,
): EngineConfig {
  if (section.max_model_len !== undefined && section.max_model_len > model.positionsMax) {
    loaded.fail(
      ['engine', 'max_model_len'],
      `${section.max_model_len} is not allowed; allowed: at most ${model.positionsMax}, which ${model.name} was made for`,
    );
  }
  const speculation = loaded.scenario.speculation;
  try {
    return engineConfig(section.profile, {
      modelLenMax: model.positionsMax,
      ...engineChanges(section),
      ...(speculation === undefined ? {} : { speculation: speculationConfig(speculation) }),
      blocksTotal: memory.blocksTotal,
      hostBlocksTotal: memory.hostBlocksTotal,
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return loaded.fail(scenarioPathOf(error.field), inScenarioWords(error.message.replace(`${error.field}: `, '')));
  }
}

function resolveFaults(loaded: LoadedScenario): (DeviceFault | HostFault)[] {
  return loaded.scenario.faults.map((section, index) => {
    const fault = faultOf(section);
    if ('toNs' in fault && 'to' in section && fault.toNs <= fault.fromNs) {
      const allowed = `allowed: later than from (${section.from})`;
      loaded.fail(['faults', index, 'to'], `${section.to} is not allowed; ${allowed}`);
    }
    return fault;
  });
}

function resolveAlerts(loaded: LoadedScenario): AlertExpectations {
  const expectations = alertExpectations(loaded.scenario.alerts);
  const both = expectations.mustFire.find((name) => expectations.mustNotFire.includes(name));
  if (both !== undefined) {
    loaded.fail(['alerts', 'must_not_fire'], `${both} is not allowed; allowed: alerts that are not in must_fire`);
  }
  return expectations;
}

/** Runs `make`; what it cannot take is reported at `path` of the scenario. */
function placed<T>(loaded: LoadedScenario, path: readonly PropertyKey[], make: () => T): T {
  try {
    return make();
  } catch (error) {
    const mendable =
      error instanceof ModelError ||
      error instanceof DeviceError ||
      error instanceof MemoryError ||
      error instanceof ConfigError;
    if (!mendable) throw error;
    const message = error.message.replace('tensorParallel: ', '');
    return loaded.fail(message === error.message ? path : ['device', 'tensor_parallel_size'], message);
  }
}

/** Fields of the core's configuration, and where a scenario states them. */
const SCENARIO_PATHS: Readonly<Record<string, readonly [section: string, name: string]>> = {
  blocksTotal: ['engine', 'num_gpu_blocks'],
  hostBlocksTotal: ['engine', 'num_cpu_blocks'],
  ...Object.fromEntries(
    Object.entries({ ...ENGINE_KNOBS, ...ENGINE_DURATIONS }).map(([name, field]) => [field, ['engine', name]]),
  ),
  ...Object.fromEntries(Object.entries(SPECULATION_KNOBS).map(([name, field]) => [field, ['speculation', name]])),
};

function scenarioPathOf(field: string): readonly string[] {
  const name = field.replace(/^speculation\./, '');
  return SCENARIO_PATHS[name] ?? ['engine', name];
}

/** A message of the core, in the names that the reader of a scenario knows. */
function inScenarioWords(message: string): string {
  return message.replace(/\b[a-z]+[A-Z]\w*\b/g, (word) => SCENARIO_PATHS[word]?.[1] ?? word);
}

function resolveWorkload(loaded: LoadedScenario, overrides: ScenarioOverrides): RunWorkload {
  const { workload: section, limits } = loaded.scenario;
  const changes = overrides.workload ?? {};
  const durationMaxNs = limits.duration === undefined ? Number.POSITIVE_INFINITY : durationNs(limits.duration);
  const requestsMax = changes.requestsMax ?? limits.requests ?? Number.POSITIVE_INFINITY;
  if (overrides.tracePath !== undefined) {
    // Limits and cuts of the scenario are those of its own workload.
    const options = traceOptions(
      null,
      changes,
      Number.POSITIVE_INFINITY,
      changes.requestsMax ?? Number.POSITIVE_INFINITY,
    );
    return { kind: 'trace', path: overrides.tracePath, options };
  }
  if (section.kind === 'generated') {
    refuseTraceChanges(changes);
    const rateScale = (changes.rateScale ?? 1) / (changes.timeScale ?? 1);
    const spec = workloadSpec(loaded, section, { requestsMax, durationNs: durationMaxNs }, rateScale);
    const priorities = section.priorities ?? [{ share: 1, priority: 0 }];
    return { kind: 'generated', spec, priorities };
  }
  if (section.kind === 'mixed') {
    refuseTraceChanges(changes);
    const rateScale = (changes.rateScale ?? 1) / (changes.timeScale ?? 1);
    const streams = streamSpecs(loaded, section, { requestsMax, durationNs: durationMaxNs }, rateScale);
    return { kind: 'mixed', streams, requestsMax };
  }
  if (section.end !== undefined && durationNs(section.end) <= durationNs(section.start)) {
    loaded.fail(['workload', 'end'], `${section.end} is not allowed; allowed: later than start (${section.start})`);
  }
  return {
    kind: 'trace',
    path: beside(loaded, section.path),
    options: traceOptions(section, changes, durationMaxNs, requestsMax),
  };
}

function refuseTraceChanges(changes: Changes<WorkloadOverrides>): void {
  const only = 'only with a trace: this workload is generated';
  if (changes.window !== undefined)
    throw new ConfigError('window', `${changes.window.startNs / 1e9}:${changes.window.endNs / 1e9}`, only);
  if (changes.promptTokensMax !== undefined) throw new ConfigError('max_prompt_tokens', changes.promptTokensMax, only);
  if (changes.outputTokensMax !== undefined) throw new ConfigError('max_output_tokens', changes.outputTokensMax, only);
  if (changes.skipBadRows !== undefined) throw new ConfigError('skip_bad', changes.skipBadRows, only);
}

/** What the scenario says of its own trace (null: another one is replayed), with the flags on top. */
function traceOptions(
  section: TraceSection | null,
  changes: Changes<WorkloadOverrides>,
  durationMaxNs: number,
  requestsMax: number,
): TraceOptions {
  const rateScale = changes.rateScale ?? section?.rate_scale ?? 1;
  const timeScale = changes.timeScale ?? section?.time_scale ?? 1;
  const startNs = changes.window?.startNs ?? (section === null ? 0 : durationNs(section.start));
  const endNs =
    changes.window?.endNs ?? (section?.end === undefined ? Number.POSITIVE_INFINITY : durationNs(section.end));
  return {
    rateScale,
    timeScale,
    // The limit counts simulated time, the window the trace's own.
    window: { startS: startNs / 1e9, endS: Math.min(endNs, startNs + (durationMaxNs * rateScale) / timeScale) / 1e9 },
    limit: requestsMax,
    promptTokensMax: changes.promptTokensMax ?? section?.max_prompt_tokens ?? Number.POSITIVE_INFINITY,
    outputTokensMax: changes.outputTokensMax ?? section?.max_output_tokens ?? Number.POSITIVE_INFINITY,
    skipBad: changes.skipBadRows ?? section?.skip_bad_rows ?? false,
  };
}

/** A config.json is read here, since the backends read no files. */
function resolveModel(loaded: LoadedScenario): ModelShape {
  const { name, config, config_file: file, weights, kv_cache: kvCache } = loaded.scenario.model;
  const formats = {
    ...(weights === undefined ? {} : { weights }),
    ...(kvCache === undefined ? {} : { kvCache }),
  };
  if (file !== undefined) {
    const read = modelConfigFile(loaded, file);
    return placed(loaded, ['model', 'config_file'], () => modelShape(name ?? file, read, formats));
  }
  if (config !== undefined) {
    return placed(loaded, ['model', 'config'], () => modelShape(name ?? loaded.scenario.name, config, formats));
  }
  return placed(loaded, ['model', 'name'], () => catalogueModel(name!, formats));
}

function modelConfigFile(loaded: LoadedScenario, file: string): Record<string, unknown> {
  const path = beside(loaded, file);
  const field = ['model', 'config_file'];
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return loaded.fail(field, `${path} cannot be read; allowed: path of a config.json, relative to the scenario`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the one message for everything that is no JSON object.
  }
  return loaded.fail(field, `${path} is no JSON object; allowed: config.json of a Hugging Face repository`);
}

/** Defined changes on top of a section. */
function merged<T extends object>(section: T, changes: Changes<T>): T {
  const defined = Object.entries(changes).filter(([, value]) => value !== undefined);
  return { ...section, ...Object.fromEntries(defined) };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const child of Object.values(value)) deepFreeze(child);
    Object.freeze(value);
  }
  return value;
}
