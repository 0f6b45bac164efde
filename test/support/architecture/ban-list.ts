import { CLOCK_FILE, DETERMINISTIC, ENVIRONMENT_LAYER } from './layers.ts';

/** A name that some layers may not use, and what to use instead: the failure message gives both. */
export interface Ban {
  readonly names: readonly string[];
  readonly replacement: string;
  /** True where the name is banned. */
  appliesTo(layer: string, path: string): boolean;
}

const exceptClock = (_layer: string, path: string) => path !== CLOCK_FILE;
const deterministic = (layer: string) => DETERMINISTIC.has(layer);
const core = (layer: string) => layer === 'core';
/** Layers that may arm timers of their own: they live in wall time, not in the engine's. */
const TIMER_LAYERS: ReadonlySet<string> = new Set(['runtime', 'gateway', 'cli', 'replay']);

/** Layers of the process that serves: what runs by a timer there must not end it. */
const SERVING_LAYERS: ReadonlySet<string> = new Set(['runtime', 'gateway']);
/** The guard itself, and the engine's own loop: an exception there is a failure of the engine, whose thread is replaced. */
const UNGUARDED_FILES: ReadonlySet<string> = new Set(['src/gateway/guard.ts', 'src/runtime/serving/engine-thread.ts']);
const unguarded = (layer: string, path: string) => SERVING_LAYERS.has(layer) && !UNGUARDED_FILES.has(path);
const GUARDED =
  'Guard.every, after or soon (src/gateway/guard.ts), or await node:timers/promises: an exception in a bare timer ends the server';

/** Global objects and functions. */
export const GLOBAL_BANS: readonly Ban[] = [
  {
    names: ['Date', 'performance'],
    replacement: 'take a Clock (core/clock.ts); machine time is read in src/runtime/system-clock.ts only',
    appliesTo: exceptClock,
  },
  {
    names: ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
    replacement: 'arm a Task with Clock.at (core/clock.ts)',
    appliesTo: (layer) => !TIMER_LAYERS.has(layer),
  },
  { names: ['setTimeout', 'setInterval', 'setImmediate'], replacement: GUARDED, appliesTo: unguarded },
  {
    names: ['process', 'globalThis', 'fetch', 'WebSocket', 'Worker'],
    replacement: 'take what you need as an argument; src/runtime and src/config read the surroundings',
    appliesTo: deterministic,
  },
  {
    names: ['crypto', 'randomUUID', 'getRandomValues', 'randomBytes', 'randomInt', 'randomFillSync'],
    replacement: 'take an Rng (core/rng.ts); ids are numbers that the caller counts',
    appliesTo: (layer) => deterministic(layer) || layer === 'planner' || layer === 'replay',
  },
  {
    names: ['Promise'],
    replacement: 'use a callback port (StepDone, TokenSink): nothing in the core is suspended between check and use',
    appliesTo: core,
  },
  {
    names: ['console'],
    replacement: 'report through EngineEvents or return a value; src/cli prints',
    appliesTo: deterministic,
  },
];

/** Members of global objects, as `object.member`. */
export const MEMBER_BANS: readonly Ban[] = [
  {
    names: ['Math.random'],
    replacement: 'take an Rng (core/rng.ts); seedrandom seeds the edges',
    appliesTo: () => true,
  },
  {
    names: ['process.env'],
    replacement: 'src/config reads the environment and hands values on',
    appliesTo: (layer) => layer !== ENVIRONMENT_LAYER,
  },
  {
    names: ['process.hrtime', 'process.uptime'],
    replacement: 'take a Clock (core/clock.ts); machine time is read in src/runtime/system-clock.ts only',
    appliesTo: exceptClock,
  },
  {
    names: ['Math.pow', 'Math.exp', 'Math.log', 'Math.log2', 'Math.log10', 'Math.sin', 'Math.cos', 'Math.tanh'],
    replacement: 'integer arithmetic (Math.imul, Math.clz32): these may differ between engine versions',
    appliesTo: core,
  },
];

/** Modules that would bring a banned name in under another one. */
export const MODULE_BANS: readonly Ban[] = [
  {
    names: ['perf_hooks'],
    replacement: 'take a Clock (core/clock.ts); machine time is read in src/runtime/system-clock.ts only',
    appliesTo: exceptClock,
  },
  {
    names: ['process'],
    replacement: 'src/config reads the environment and hands values on',
    appliesTo: (layer) => layer !== ENVIRONMENT_LAYER,
  },
  {
    names: ['timers', 'timers/promises'],
    replacement: 'arm a Task with Clock.at (core/clock.ts)',
    appliesTo: (layer) => !TIMER_LAYERS.has(layer),
  },
  { names: ['timers'], replacement: GUARDED, appliesTo: unguarded },
  {
    names: ['fs', 'fs/promises'],
    replacement: 'take the content as a value or an iterator; src/runtime, src/config, src/cli and replay read files',
    appliesTo: (layer) => !['runtime', 'config', 'cli', 'replay'].includes(layer),
  },
];
