import {
  type Backend,
  ConfigError,
  type DraftProposer,
  type DrivenClock,
  Engine,
  type EngineConfig,
  type EngineEvents,
  EventFanout,
  type HostTimer,
  type LogprobSource,
  NgramProposer,
  VirtualClock,
} from '../core/index.ts';
import { MeasuredHostTimer } from './measured-host-timer.ts';
import { ModelledHostTimer } from './simulated/modelled-host-timer.ts';
import { OpenedSimulation, type SimulatedParts, type SimulatedSpec } from './simulated/open-simulated.ts';
import { PacedClock, SystemClock, type WallTime } from './wall-clocks.ts';

/** A backend by its module: one that is not part of Twinfer, or one that tests bring along. */
export interface ModuleSpec {
  readonly kind: 'module';
  /** URL of a module that exports `createBackend` (`BackendModule`). */
  readonly url: string;
  /** Handed to `createBackend`; a plain value. */
  readonly options: unknown;
}

/** What runs the steps, as plain values that may cross to a thread. This file alone knows the kinds. */
export type BackendSpec = SimulatedSpec | ModuleSpec;

/** What the module of a `ModuleSpec` exports. */
export interface BackendModule {
  createBackend(options: unknown, parts: BackendParts): Backend | Promise<Backend>;
}

export interface BackendParts {
  readonly config: EngineConfig;
  /** Time of the engine; a backend may arm tasks on it. */
  readonly clock: DrivenClock;
}

/** Virtual time jumps from task to task; wall time is the machine's. */
export type EngineTime = { readonly kind: 'virtual' } | WallTime;

export interface OpenOptions {
  readonly config: EngineConfig;
  readonly time: EngineTime;
  /** Imports a module by its URL; only specs of kind `module` need it. */
  readonly load?: (url: string) => Promise<unknown>;
  /** See `SimulatedParts`. */
  readonly operators?: SimulatedParts['operators'];
}

/** A backend that is ready, and what an engine needs to run on it. */
export interface OpenedBackend {
  readonly backend: Backend;
  readonly clock: DrivenClock;
  /** null: the scheduler's own work takes no time that anything could see. */
  readonly hostTimer: HostTimer | null;
  /** null: drafts are looked up in the text. */
  readonly proposer: DraftProposer | null;
  /** null: the backend gives none. */
  readonly logprobs: LogprobSource | null;
  /** The simulated world around the backend; null: the backend is not simulated. */
  readonly simulation: OpenedSimulation | null;
}

interface OpenedSimulated extends OpenedBackend {
  readonly simulation: OpenedSimulation;
}

/**
 * Opens a backend with the clock that goes with it: a simulated one in virtual time or paced by the wall, others beside the machine's clock.
 * Throws ConfigError for what the backend cannot run with, and what a module throws.
 */
export function openBackend(
  spec: SimulatedSpec,
  options: OpenOptions & { readonly time: { readonly kind: 'virtual' } },
): OpenedSimulated & { readonly clock: VirtualClock };
export function openBackend(spec: BackendSpec, options: OpenOptions): OpenedBackend | Promise<OpenedBackend>;
export function openBackend(spec: BackendSpec, options: OpenOptions): OpenedBackend | Promise<OpenedBackend> {
  switch (spec.kind) {
    case 'simulated':
      return openSimulated(spec, options);
    case 'module':
      return openModule(spec, options);
  }
}

function openSimulated(spec: SimulatedSpec, { config, time, operators }: OpenOptions): OpenedSimulated {
  const clock = time.kind === 'virtual' || time.scale === 0 ? new VirtualClock() : new PacedClock(time);
  const hostTimer = time.kind === 'virtual' ? new ModelledHostTimer() : new MeasuredHostTimer(time.nowNs);
  const parts = { clock, config, hostTimer, ...(operators === undefined ? {} : { operators }) };
  const simulation = new OpenedSimulation(spec, parts);
  const { backend, proposer, logprobs } = simulation;
  return { backend, clock, hostTimer: simulation.hostTimer, proposer, logprobs, simulation };
}

async function openModule({ url, options }: ModuleSpec, { config, time, load }: OpenOptions): Promise<OpenedBackend> {
  const clock = time.kind === 'virtual' ? new VirtualClock() : new SystemClock(time);
  const hostTimer = time.kind === 'virtual' ? null : new MeasuredHostTimer(time.nowNs);
  const loaded = (await load?.(url)) as Partial<BackendModule> | undefined;
  if (typeof loaded?.createBackend !== 'function') {
    throw new ConfigError('backend.url', url, 'expected a module that exports createBackend');
  }
  const backend = await loaded.createBackend(options, { config, clock });
  return { backend, clock, hostTimer, proposer: null, logprobs: null, simulation: null };
}

export interface AssemblyOptions {
  readonly config: EngineConfig;
  /** In the order in which they are called. */
  readonly listeners: readonly EngineEvents[];
  /** Never submit a run of steps: for listeners that want to see each step planned. */
  readonly singleSteps?: boolean;
}

/** Puts the engine on an opened backend: the one way in which engines are made, simulated or live. */
export function assembleEngine(opened: OpenedBackend, { config, listeners, singleSteps }: AssemblyOptions): Engine {
  const { backend, clock, hostTimer } = opened;
  const checked = opened.simulation?.checked !== false;
  return new Engine({
    config: checked ? config : { ...config, checkIntervalNs: Number.MAX_SAFE_INTEGER },
    backend,
    clock,
    proposer: config.speculation === null ? null : (opened.proposer ?? ngramProposer(config)),
    hostTimer,
    events: listeners.length === 0 ? null : listeners.length === 1 ? listeners[0]! : new EventFanout(listeners),
    singleSteps: singleSteps === true,
  });
}

/** Lengths of the n-grams that are looked up, tokens. */
const NGRAM = { ngramMin: 2, ngramMax: 5 };

function ngramProposer({ modelLenMax }: EngineConfig): NgramProposer {
  return new NgramProposer({ ...NGRAM, modelLenMax });
}
