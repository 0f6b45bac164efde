import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { environmentKeys } from './api-keys.ts';
import { beside } from './beside.ts';
import { loadScenario } from './load-scenario.ts';
import { type LoadedYaml, loadYaml, parseYaml, type YamlKind } from './load-yaml.ts';
import { isLoopback } from './loopback.ts';
import { resolveScenario } from './resolve-scenario.ts';
import type { RunSpec } from './run-spec.ts';
import type { ApiKeyConfig, KeyLimitsConfig, LogLevel, RecordConfig, ServeConfig } from './serve-config.ts';
import { type ServeSection, serveJsonSchema, serveSchema } from './serve-schema.ts';
import { tracingOf } from './tracing-config.ts';
import { durationNs, sizeBytes } from './units.ts';

const SERVE: YamlKind<ServeSection> = {
  what: 'server configuration',
  schema: serveSchema,
  jsonSchema: serveJsonSchema,
};

/** A server configuration that follows the schema, and where in its file everything stands. */
export type LoadedServe = LoadedYaml<ServeSection>;

/** Reads, parses and checks a server configuration; null = all defaults. Throws ScenarioError with one line per problem. */
export function loadServe(file: string | null): LoadedServe {
  return file === null ? parseServe('{}', 'flags') : loadYaml(file, SERVE);
}

/** As `loadServe`, from text. `file` is what messages name. */
export function parseServe(text: string, file: string): LoadedServe {
  return parseYaml(text, file, SERVE);
}

/** What the command line changes. Undefined leaves things as they are; paths are relative to the working directory. */
export interface ServeOverrides {
  readonly scenario?: string | undefined;
  readonly modelFolder?: string | undefined;
  readonly modelNames?: readonly string[] | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly timeScale?: number | undefined;
  readonly backend?: ServeSection['backend'] | undefined;
  readonly apiKeySha256?: readonly string[] | undefined;
  readonly keyLimits?: Partial<KeyLimitsConfig> | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly record?: string | undefined;
}

/** What is around the configuration. */
export interface ServeSurroundings {
  /** Path of a scenario that was named, bundled ones included. */
  readonly scenarioPath: (nameOrPath: string) => string;
  /** The process's own when left out. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** Configuration, flags and environment as one frozen value. Throws ScenarioError with the place of what cannot be. */
export function resolveServe(loaded: LoadedServe, overrides: ServeOverrides, around: ServeSurroundings): ServeConfig {
  const { value } = loaded;
  const backend = overrides.backend ?? value.backend;
  if (backend !== 'simulated') {
    loaded.fail(['backend'], `${backend} is not built yet; allowed: simulated`);
  }
  checkRanges(loaded);
  const run = scenarioOf(loaded, overrides, around);
  const host = overrides.host ?? value.host;
  const keys = keysOf(loaded, overrides, around);
  checkReach(loaded, host, keys);
  const timeScale = overrides.timeScale ?? value.time_scale;
  return Object.freeze({
    run,
    backend: 'simulated',
    timeScale,
    modelFolder: modelFolderOf(loaded, overrides),
    modelNames: overrides.modelNames ?? value.served_model_names ?? [run.model.name],
    host,
    port: overrides.port ?? value.port,
    keys,
    ...limitsOf(loaded, overrides, run, timeScale),
    watchdog: watchdogOf(loaded),
    tokenizerThreads: value.tokenizer.threads,
    corsOrigins: corsOriginsOf(loaded),
    allowedHosts: value.allowed_hosts.map((name) => name.toLowerCase().replace(/^\[|\]$|\.$/g, '')),
    logLevel: overrides.logLevel ?? value.log.level,
    logFile: value.log.file === undefined ? null : beside(loaded, value.log.file),
    record: recordOf(loaded, overrides),
    vllmAliases: value.metrics.vllm_aliases,
    stepTimes: value.step_times,
    tracing: tracingOf(loaded, around.environment),
    allocationLog: { eventsPerBlock: value.debug.allocation_log, stacks: value.debug.allocation_stacks },
  });
}

function scenarioOf(loaded: LoadedServe, overrides: ServeOverrides, around: ServeSurroundings): RunSpec {
  const near = beside(loaded, loaded.value.scenario);
  const named = overrides.scenario ?? (existsSync(near) ? near : loaded.value.scenario);
  return resolveScenario(loadScenario(around.scenarioPath(named)));
}

function modelFolderOf(loaded: LoadedServe, overrides: ServeOverrides): string | null {
  const { model_folder: stated } = loaded.value;
  const folder = overrides.modelFolder ?? (stated === undefined ? null : beside(loaded, stated));
  if (folder === null) return null;
  if (!isFile(join(folder, 'tokenizer.json'))) {
    loaded.fail(['model_folder'], `${folder} has no tokenizer.json; allowed: folder of a model with its tokenizer`);
  }
  return folder;
}

function recordOf(loaded: LoadedServe, overrides: ServeOverrides): RecordConfig | null {
  const { file: stated, interval, max_size: maxSize } = loaded.value.record;
  const file = overrides.record ?? (stated === undefined ? null : beside(loaded, stated));
  if (file === null) return null;
  if (file.endsWith('.gz')) {
    loaded.fail(
      ['record', 'file'],
      `${file} is not allowed; allowed: a name without .gz, since samples are appended one by one`,
    );
  }
  return { file, intervalSeconds: ms(interval) / 1000, bytesMax: sizeBytes(maxSize) };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function keysOf(loaded: LoadedServe, overrides: ServeOverrides, around: ServeSurroundings): ApiKeyConfig[] {
  const stated = loaded.value.auth.keys.map(
    (key): ApiKeyConfig => ({
      name: key.name,
      sha256Hex: key.sha256.toLowerCase(),
      admin: key.admin,
      limits: Object.fromEntries(Object.entries(keyLimits(key.limits)).filter(([, limit]) => limit !== null)),
    }),
  );
  const flags = (overrides.apiKeySha256 ?? []).map(
    (sha256Hex, index): ApiKeyConfig => ({
      name: `flag-${index + 1}`,
      sha256Hex: sha256Hex.toLowerCase(),
      admin: false,
      limits: {},
    }),
  );
  const keys = [...stated, ...flags, ...environmentKeys(around.environment)];
  const firsts = new Map<string, string>();
  for (const [index, key] of keys.entries()) {
    const path = index < stated.length ? ['auth', 'keys', index] : ['auth', 'keys'];
    const twin = firsts.get(key.sha256Hex);
    if (twin !== undefined) loaded.fail(path, `${key.name} is the same key as ${twin}; allowed: each key once`);
    if (keys.findIndex((each) => each.name === key.name) < index) {
      loaded.fail(path, `name ${key.name} is taken; allowed: a name of its own for each key`);
    }
    firsts.set(key.sha256Hex, key.name);
  }
  return keys;
}

function checkReach(loaded: LoadedServe, host: string, keys: readonly ApiKeyConfig[]): void {
  if (keys.length > 0 || isLoopback(host) || loaded.value.auth.allow_open) return;
  const allowed = 'a loopback address such as 127.0.0.1, or keys (auth.keys, --api-key-sha256, TWINFER_API_KEYS)';
  loaded.fail(['host'], `${host} without keys is open to others; allowed: ${allowed}, or auth.allow_open: true`);
}

/** As browsers write them: in lower case, without the scheme's own port. */
function corsOriginsOf(loaded: LoadedServe): string[] {
  return loaded.value.cors_origins.map((origin, index) => {
    if (!URL.canParse(origin)) {
      loaded.fail(['cors_origins', index], `${origin} is not an origin; expected: a host, and a port of at most 65535`);
    }
    return new URL(origin).origin;
  });
}

/** Whole milliseconds, rounded up: timers have no finer ones. */
function ms(text: string): number {
  return Math.ceil(durationNs(text) / 1e6);
}

/** Node takes 0 for no limit, and longer timers than 2^31 - 1 ms fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;
const TIMERS = [
  ['limits', 'header_timeout'],
  ['limits', 'request_timeout'],
  ['limits', 'max_queue_wait'],
  ['limits', 'expected_request'],
  ['watchdog', 'stall'],
  ['tracing', 'slow_ttft'],
  ['watchdog', 'hang'],
  ['watchdog', 'restart'],
] as const;
const TIMERS_OR_NONE = [
  ['limits', 'generation_timeout'],
  ['limits', 'max_retry_after'],
  ['limits', 'drain_timeout'],
  ['watchdog', 'max_restart'],
] as const;
const SIZE_MAX_BYTES = 2 ** 30;
const SIZE_RECORD_MIN_BYTES = 2 ** 20;

function checkRanges(loaded: LoadedServe): void {
  for (const path of [...TIMERS, ...TIMERS_OR_NONE]) {
    const text = (loaded.value[path[0]] as Record<string, unknown>)[path[1]] as string;
    const least = TIMERS.some((each) => each === path) ? 1 : 0;
    if (ms(text) >= least && ms(text) <= TIMER_MAX_MS) continue;
    loaded.fail(path, `${text} is not allowed; allowed: ${least === 1 ? 'above 0s and ' : ''}at most 24d`);
  }
  const { interval, max_size: maxSize } = loaded.value.record;
  if (ms(interval) < 1000 || ms(interval) > 3_600_000) {
    loaded.fail(['record', 'interval'], `${interval} is not allowed; allowed: 1s to 1h`);
  }
  if (sizeBytes(maxSize) < SIZE_RECORD_MIN_BYTES) {
    loaded.fail(['record', 'max_size'], `${maxSize} is not allowed; allowed: at least 1MiB`);
  }
  const { limits, request } = loaded.value;
  for (const [section, name, text] of [
    ['limits', 'max_body', limits.max_body],
    ['limits', 'stream_buffer', limits.stream_buffer],
    ['request', 'max_answer', request.max_answer],
  ] as const) {
    const bytes = sizeBytes(text);
    if (bytes >= 1024 && bytes <= SIZE_MAX_BYTES) continue;
    loaded.fail([section, name], `${text} is not allowed; allowed: 1KiB to 1GiB`);
  }
}

/** Keys of clients without any limit on a server that others can reach, in a sentence; null = none. */
export function unlimitedKeys({ host, keys, limits }: ServeConfig): string | null {
  const unlimited = (own: Partial<KeyLimitsConfig>) =>
    Object.values({ ...limits.perKey, ...own }).every((limit) => limit === null);
  if (isLoopback(host)) return null;
  const advice = 'limits.per_key or --key-limits sets requests and tokens per minute and concurrency of all keys';
  if (keys.length === 0) return unlimited({}) ? `clients without a key have no limits: ${advice}` : null;
  const names = keys.filter((key) => !key.admin && unlimited(key.limits)).map(({ name }) => name);
  if (names.length === 0) return null;
  const shown = names.length > 3 ? `${names.slice(0, 3).join(', ')}, ...` : names.join(', ');
  return `${names.length} of ${keys.length} keys have no limits (${shown}): ${advice}`;
}

function keyLimits(section: ServeSection['limits']['per_key']): KeyLimitsConfig {
  return {
    requestsPerMinute: section.requests_per_minute ?? null,
    tokensPerMinute: section.tokens_per_minute ?? null,
    concurrencyMax: section.max_concurrency ?? null,
  };
}

type Limits = Pick<ServeConfig, 'limits' | 'admission' | 'requestLimits' | 'http'>;

function limitsOf(loaded: LoadedServe, overrides: ServeOverrides, run: RunSpec, timeScale: number): Limits {
  const { limits, request } = loaded.value;
  if (ms(limits.header_timeout) > ms(limits.request_timeout)) {
    const expected = `expected: at most request_timeout (${limits.request_timeout})`;
    loaded.fail(['limits', 'header_timeout'], `${limits.header_timeout} is not allowed; ${expected}`);
  }
  const generationTimeoutMs = ms(limits.generation_timeout);
  return {
    limits: {
      waitingMax: limits.max_waiting,
      drainTimeoutMs: ms(limits.drain_timeout),
      tokenizerQueueMax: loaded.value.tokenizer.max_waiting,
      perKey: { ...keyLimits(limits.per_key), ...overrides.keyLimits },
      fairKeys: limits.fair_keys,
    },
    admission: {
      waitingMax: limits.max_waiting,
      queueWaitMaxMs: ms(limits.max_queue_wait),
      retryAfterMaxMs: ms(limits.max_retry_after),
      bookingsMax: limits.max_bookings,
      // Admission happens on the wall clock, on which a scaled device is that much faster.
      predictedRequestMs: Math.max(1, ms(limits.expected_request) * timeScale),
      concurrency: run.engine.sequencesMax,
    },
    requestLimits: {
      logprobsMax: request.max_logprobs,
      nMax: request.max_n,
      promptsMax: request.max_prompts,
      sequencesMax: request.max_sequences,
      stopMax: request.max_stop,
      stopCharactersMax: request.max_stop_characters,
      stopTokenIdsMax: request.max_stop_token_ids,
      logitBiasMax: request.max_logit_bias,
      messagesMax: request.max_messages,
      keysMax: request.max_keys,
      numbersMax: request.max_numbers,
      answerBytesMax: sizeBytes(request.max_answer),
      promptLogprobsMax: request.max_prompt_logprobs,
    },
    http: {
      bodyBytesMax: sizeBytes(limits.max_body),
      bodyDepthMax: limits.max_body_depth,
      headersTimeoutMs: ms(limits.header_timeout),
      requestTimeoutMs: ms(limits.request_timeout),
      generationTimeoutMs: generationTimeoutMs === 0 ? null : generationTimeoutMs,
      streamBufferBytesMax: sizeBytes(limits.stream_buffer),
      connectionsMax: limits.max_connections,
      connectionsPerAddressMax: limits.max_connections_per_address ?? null,
      pipelinedMax: limits.max_pipelined_requests,
    },
  };
}

function watchdogOf(loaded: LoadedServe): ServeConfig['watchdog'] {
  const { watchdog } = loaded.value;
  if (ms(watchdog.hang) < ms(watchdog.stall)) {
    loaded.fail(['watchdog', 'hang'], `${watchdog.hang} is not allowed; allowed: at least stall (${watchdog.stall})`);
  }
  if (ms(watchdog.max_restart) < ms(watchdog.restart)) {
    const allowed = `allowed: at least restart (${watchdog.restart})`;
    loaded.fail(['watchdog', 'max_restart'], `${watchdog.max_restart} is not allowed; ${allowed}`);
  }
  return {
    stallMs: ms(watchdog.stall),
    hangMs: ms(watchdog.hang),
    restartMs: ms(watchdog.restart),
    restartMaxMs: ms(watchdog.max_restart),
    slowStepFactor: watchdog.slow_step,
  };
}
