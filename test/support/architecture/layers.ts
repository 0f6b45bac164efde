/**
 * The dependency rule as data: what each layer may import. A layer may always import itself. The picture and the reasons
 * are in ARCHITECTURE.md; anything not written here is forbidden.
 */
export interface Layer {
  readonly name: string;
  /** Folder, with a trailing slash; the longest prefix of a path decides. */
  readonly folder: string;
  readonly imports: readonly string[];
  /** npm packages; 'any' where the layer is a skin that may use what it needs. */
  readonly packages: readonly string[] | 'any';
  /** Modules of Node, without the `node:` prefix; 'any' where the layer may do I/O. */
  readonly nodeModules: readonly string[] | 'any';
}

const BACKENDS = ['backends/simulated', 'backends/cpu', 'backends/cuda'];
/** How a native addon is found, probed in a child process and loaded. */
const NATIVE_LOADING = ['module', 'child_process', 'path', 'url'];

export const LAYERS: readonly Layer[] = [
  { name: 'core', folder: 'src/core/', imports: [], packages: [], nodeModules: [] },
  { name: 'backends/simulated', folder: 'src/backends/simulated/', imports: ['core'], packages: [], nodeModules: [] },
  { name: 'backends/cpu', folder: 'src/backends/cpu/', imports: ['core'], packages: [], nodeModules: NATIVE_LOADING },
  { name: 'backends/cuda', folder: 'src/backends/cuda/', imports: ['core'], packages: [], nodeModules: NATIVE_LOADING },
  {
    name: 'backends',
    folder: 'src/backends/',
    imports: ['core', ...BACKENDS],
    packages: [],
    nodeModules: [],
  },
  {
    name: 'simulation',
    folder: 'src/simulation/',
    imports: ['core', ...BACKENDS],
    packages: ['seedrandom', 'd3-random', 'hdr-histogram-js', 'cli-table3'],
    nodeModules: ['crypto'],
  },
  {
    name: 'calibration',
    folder: 'src/calibration/',
    imports: ['core', 'simulation', 'backends', 'backends/simulated'],
    packages: ['ml-levenberg-marquardt'],
    nodeModules: [],
  },
  {
    name: 'observability',
    folder: 'src/observability/',
    imports: ['core'],
    packages: 'any',
    nodeModules: ['crypto', 'zlib'],
  },
  { name: 'tokenizer', folder: 'src/tokenizer/', imports: ['core'], packages: 'any', nodeModules: [] },
  { name: 'replay', folder: 'replay/', imports: ['core', 'simulation'], packages: 'any', nodeModules: 'any' },
  {
    name: 'config',
    folder: 'src/config/',
    imports: ['core', 'simulation', 'observability', 'replay', 'backends', ...BACKENDS],
    packages: 'any',
    nodeModules: 'any',
  },
  {
    name: 'gateway',
    folder: 'src/gateway/',
    imports: ['core', 'observability', 'tokenizer', 'config'],
    packages: 'any',
    nodeModules: ['http', 'https', 'net', 'tls', 'stream', 'timers/promises', 'crypto', 'zlib', 'buffer', 'url'],
  },
  {
    name: 'planner',
    folder: 'src/planner/',
    imports: ['core', 'simulation', 'config', 'observability', ...BACKENDS],
    packages: 'any',
    nodeModules: ['crypto'],
  },
  {
    name: 'runtime',
    folder: 'src/runtime/',
    imports: [
      'core',
      'simulation',
      'observability',
      'tokenizer',
      'config',
      'gateway',
      'planner',
      'replay',
      'calibration',
      'backends',
      ...BACKENDS,
    ],
    packages: 'any',
    nodeModules: 'any',
  },
  {
    name: 'cli',
    folder: 'src/cli/',
    imports: [
      'core',
      'simulation',
      'observability',
      'tokenizer',
      'config',
      'gateway',
      'planner',
      'replay',
      'runtime',
      'calibration',
      ...BACKENDS,
    ],
    packages: 'any',
    nodeModules: 'any',
  },
];

export function layerOf(path: string): Layer | null {
  return LAYERS.find((layer) => path.startsWith(layer.folder)) ?? null;
}

/** Layers whose behaviour is a function of their arguments: no time, no timers, no ambient randomness, no environment, no files. */
export const DETERMINISTIC: ReadonlySet<string> = new Set(['core', 'simulation', 'backends', ...BACKENDS]);

/** The only file that reads the machine's time. */
export const CLOCK_FILE = 'src/runtime/system-clock.ts';

/** The only layer that reads the environment. */
export const ENVIRONMENT_LAYER = 'config';
