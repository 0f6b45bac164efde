import { createHash } from 'node:crypto';
import { loadScenario } from '../../src/config/load-scenario.ts';
import { resolveScenario } from '../../src/config/resolve-scenario.ts';
import type {
  AdmissionConfig,
  ApiKeyConfig,
  HttpConfig,
  RequestLimitsConfig,
  ServeConfig,
  WatchdogConfig,
} from '../../src/config/serve-config.ts';
import type { EngineConfig } from '../../src/core/index.ts';
import { type ServerPatience, type Serving, startServing } from '../../src/runtime/serve.ts';
import { wallNs } from '../../src/runtime/system-clock.ts';
import { REPOSITORY_ROOT } from './repository-files.ts';
import { until } from './until.ts';

/** What differs from the server that tests get: whole values, or single fields of the sections. */
export interface TestServerOverrides
  extends Partial<Omit<ServeConfig, 'run' | 'keys' | 'limits' | 'admission' | 'requestLimits' | 'http' | 'watchdog'>> {
  /** Besides the two that every test server has; null = a server without keys. */
  readonly keys?: readonly ApiKeyConfig[] | null;
  readonly engine?: Partial<EngineConfig>;
  readonly limits?: Partial<ServeConfig['limits']>;
  readonly admission?: Partial<AdmissionConfig>;
  readonly requestLimits?: Partial<RequestLimitsConfig>;
  readonly http?: Partial<HttpConfig>;
  readonly watchdog?: Partial<WatchdogConfig>;
  readonly patience?: Partial<ServerPatience>;
}

/** /load, as far as tests read it. */
export interface LoadPage {
  readonly state: string;
  readonly live_requests: number;
  readonly running_sequences: number;
  readonly waiting_sequences: number;
  readonly swapped_sequences: number;
  readonly kv_blocks_used: number;
  readonly kv_blocks_cached: number;
  readonly output_tokens: number;
  readonly engine_restarts: number;
  readonly log_lines_dropped: number;
}

export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** Of a client. */
  readonly key: string;
  readonly adminKey: string;
  readonly serving: Serving;
  load(): Promise<LoadPage>;
  /** An order with the admin's key; its answer's body. Throws the body where the status is not 200. */
  admin(path: string, body?: object): Promise<unknown>;
  /** Resolves when nothing is with the engine any more. */
  idle(): Promise<LoadPage>;
  close(): Promise<void>;
}

const KEY = 'sk-test';
const ADMIN_KEY = 'sk-test-admin';

/** A key of the server as its configuration holds it. */
export function apiKey(name: string, key: string, more: Partial<ApiKeyConfig> = {}): ApiKeyConfig {
  return { name, sha256Hex: createHash('sha256').update(key).digest('hex'), admin: false, limits: {}, ...more };
}

/**
 * The real server in this process, its engine in a thread of its own: Llama-3.1-8B on a simulated H100, as fast as it goes, with
 * the byte tokenizer, on a free port of the loopback.
 */
export async function startTestServer(
  overrides: TestServerOverrides = {},
  start: typeof startServing = startServing,
): Promise<TestServer> {
  const serving = await start(testServeConfig(overrides), { ...PATIENCE, ...overrides.patience });
  const { url } = serving;
  const load = async (): Promise<LoadPage> => {
    const response = await fetch(`${url}/load`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
    return (await response.json()) as LoadPage;
  };
  return {
    url,
    port: Number(new URL(url).port),
    key: KEY,
    adminKey: ADMIN_KEY,
    serving,
    load,
    async admin(path, body = {}) {
      const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
      const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
      return JSON.parse(text);
    },
    idle: () => until(load, isIdle),
    close: () => serving.stop('the test is over'),
  };
}

/** The configuration of the server above. */
export function testServeConfig(overrides: TestServerOverrides = {}): ServeConfig {
  const {
    engine = {},
    limits = {},
    admission = {},
    requestLimits = {},
    http = {},
    watchdog = {},
    patience: _,
    ...plain
  } = overrides;
  const run = resolveScenario(loadScenario(`${REPOSITORY_ROOT}scenarios/llama-3.1-8b-h100.yaml`));
  const { keys = [], ...rest } = plain;
  return {
    backend: 'simulated',
    timeScale: 0,
    modelFolder: null,
    modelNames: ['twin'],
    host: '127.0.0.1',
    port: 0,
    tokenizerThreads: 1,
    corsOrigins: [],
    allowedHosts: [],
    logLevel: 'silent',
    logFile: null,
    record: null,
    vllmAliases: true,
    stepTimes: true,
    tracing: null,
    allocationLog: { eventsPerBlock: 4, stacks: false },
    ...rest,
    keys: keys === null ? [] : [...keys, apiKey('test', KEY), apiKey('admin', ADMIN_KEY, { admin: true })],
    run: { ...run, engine: { ...run.engine, ...engine } },
    limits: {
      waitingMax: 2000,
      drainTimeoutMs: 5000,
      tokenizerQueueMax: 1000,
      perKey: { requestsPerMinute: null, tokensPerMinute: null, concurrencyMax: null },
      fairKeys: true,
      ...limits,
    },
    admission: { ...ADMISSION, ...admission },
    requestLimits: { ...REQUEST_LIMITS, ...requestLimits },
    http: { ...HTTP, ...http },
    watchdog: { ...WATCHDOG, ...watchdog },
  };
}

/** Longer than any test lasts, also on a busy machine: of limits on time, a server in a test has those that the test asks for. */
const LONG_MS = 3_600_000;

const PATIENCE: ServerPatience = { nowMs: () => wallNs() / 1e6, engineAnswerMs: LONG_MS, collectorMs: LONG_MS };

const WATCHDOG: WatchdogConfig = {
  stallMs: LONG_MS,
  hangMs: LONG_MS,
  restartMs: 100,
  restartMaxMs: 1000,
  slowStepFactor: 8,
};

const ADMISSION: AdmissionConfig = {
  waitingMax: 2000,
  queueWaitMaxMs: LONG_MS,
  retryAfterMaxMs: 2 * LONG_MS,
  bookingsMax: 10_000,
  predictedRequestMs: 1000,
  concurrency: 256,
};

const REQUEST_LIMITS: RequestLimitsConfig = {
  logprobsMax: 20,
  nMax: 16,
  promptsMax: 64,
  sequencesMax: 128,
  stopMax: 16,
  stopCharactersMax: 256,
  stopTokenIdsMax: 64,
  logitBiasMax: 300,
  messagesMax: 1000,
  keysMax: 32_768,
  numbersMax: 524_288,
  answerBytesMax: 1 << 27,
  promptLogprobsMax: 1 << 20,
};

const HTTP: HttpConfig = {
  bodyBytesMax: 1 << 20,
  bodyDepthMax: 64,
  headersTimeoutMs: LONG_MS,
  requestTimeoutMs: LONG_MS,
  generationTimeoutMs: null,
  streamBufferBytesMax: 1 << 20,
  connectionsMax: 4096,
  connectionsPerAddressMax: null,
  pipelinedMax: 16,
};

function isIdle({ live_requests, running_sequences, waiting_sequences, swapped_sequences }: LoadPage): boolean {
  return live_requests + running_sequences + waiting_sequences + swapped_sequences === 0;
}
