import type { AddressInfo } from 'node:net';
import * as timers from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import pino, { type Logger } from 'pino';
import { unlimitedKeys } from '../config/load-serve.ts';
import { isLoopback } from '../config/loopback.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { KeyRing } from '../gateway/auth.ts';
import type { GatewayContext } from '../gateway/context.ts';
import { type CallbackFailure, Guard } from '../gateway/guard.ts';
import { engineQueueMax, KeyShares } from '../gateway/limits/key-shares.ts';
import { logOptions } from '../gateway/limits/log-options.ts';
import { KeyLimits } from '../gateway/limits/rate-limit.ts';
import { SaltTable } from '../gateway/limits/salts.ts';
import { RequestNames } from '../gateway/request-names.ts';
import { createServer } from '../gateway/server.ts';
import type { RequestTracing } from '../gateway/tracing/request-tracing.ts';
import { createMetricsPage, GatewayMetrics, type MetricsPage } from '../observability/index.ts';
import { ReadableText, type Tokenizer } from '../tokenizer/index.ts';
import { impliedAnswerLength } from './answer-length.ts';
import { logDestination } from './log-file.ts';
import { openTokenizer } from './open-tokenizer.ts';
import { packageVersion } from './package-folder.ts';
import { AlertWatch } from './serving/alert-watch.ts';
import { engineLogs, StallReporter } from './serving/engine-logs.ts';
import { EngineThreadLink } from './serving/engine-thread-link.ts';
import { sampleGateway } from './serving/gateway-sampler.ts';
import { liveDashboard } from './serving/live-dashboard.ts';
import { LiveRecording } from './serving/live-recording.ts';
import { addressToListenOn, connectionRoom } from './serving/open-files.ts';
import { epochSeconds, steadyEpochSeconds, wallNs } from './system-clock.ts';
import { simulatedSpec, timingSource } from './timing-source.ts';
import { TokenizerPool } from './tokenizer-pool.ts';
import type { Tracing } from './tracing/start-tracing.ts';

export interface Serving {
  readonly url: string;
  readonly tokenizer: string;
  /** Resolves when the server is down. */
  readonly closed: Promise<void>;
  /** Takes no new requests, lets those that are here end until the drain time is over, then ends the rest; idempotent. */
  stop(reason: string): Promise<void>;
  /** For tests of what happens when the engine fails. */
  readonly link: EngineThreadLink;
  /** For tests of what counters and gauges say when the engine has failed. */
  readonly metricsPage: MetricsPage;
  /** For tests of what is left of traces; null = there are none. */
  readonly tracing: Tracing | null;
}

/** The server's clock, and how long it waits for what may never come. */
export interface ServerPatience {
  readonly nowMs: () => number;
  /** The engine's thread, asked for its state. */
  readonly engineAnswerMs: number;
  /** The collector of traces, at the end. */
  readonly collectorMs: number;
}

const PATIENCE: ServerPatience = { nowMs: () => wallNs() / 1e6, engineAnswerMs: 1000, collectorMs: 3000 };

/**
 * Starts engine thread, tokenizer pool and HTTP server; resolves when requests are taken. Throws what is wrong with the configuration's
 * files, and the system's error when the address is taken.
 */
export async function startServing(
  config: ServeConfig,
  patience = PATIENCE,
  makeGuard: MakeGuard = newGuard,
): Promise<Serving> {
  const tokenizer = openTokenizer(config.modelFolder);
  const page = createMetricsPage();
  const metrics = new GatewayMetrics(page);
  const guard = makeGuard(
    (failure) => logFailure(log, failure),
    (source) => metrics.callbackFailed(source),
  );
  const destination = logDestination(config.logFile, guard);
  const log = pino(logOptions(config.logLevel), destination);
  const common = { page, log, guard, patience };
  const tracing = await tracingOf(config, common);
  const names = new RequestNames();
  const link = engineLink(config, tokenizer, common, tracing, names);
  const recording = await openRecording(config, page, log);
  await link.start();
  const pool = tokenizerPool(config, tokenizer);
  const alerts = new AlertWatch(page, log);
  const context = gatewayContext(config, {
    alerts,
    link,
    tokenizer,
    pool,
    names,
    ...common,
    metrics,
    tracing: tracing?.requests ?? null,
    connectionsMax: connectionsThatFit(config, log),
    logLinesDropped: () => destination.linesDropped,
  });
  const app = await createServer(context);
  startSampling(app, context, {
    alerts,
    recording,
    stalls: stallReporter(config, link, names, common),
  });
  const close = async () => {
    await pool.close();
    // Behind everything that may still end a trace.
    await tracing?.close();
  };
  const stop = stopper(app, link, close, config.limits.drainTimeoutMs, common);
  try {
    await app.listen({ host: await addressToListenOn(config.host), port: config.port });
  } catch (error) {
    await stop.now();
    throw error;
  }
  const unlimited = unlimitedKeys(config);
  if (unlimited !== null) log.warn({}, unlimited);
  const url = urlOf(app, config.host);
  return { url, tokenizer: tokenizer.name, closed: stop.closed, stop: stop.drained, link, metricsPage: page, tracing };
}

function connectionsThatFit(config: ServeConfig, log: Logger): number {
  const { openFilesMax, filesReserved, connectionsMax } = connectionRoom(config);
  const fields = { open_files_limit: openFilesMax, files_reserved: filesReserved };
  if (connectionsMax < config.http.connectionsMax)
    log.warn(
      { ...fields, max_connections: config.http.connectionsMax, connections: connectionsMax },
      'limits.max_connections is lowered to what the limit of open files leaves room for',
    );
  return connectionsMax;
}

interface Watchers {
  readonly alerts: AlertWatch;
  readonly recording: LiveRecording | null;
  readonly stalls: StallReporter;
}

/** What looks at the metrics once a second, until the server closes. */
function startSampling(app: FastifyInstance, context: GatewayContext, { alerts, recording, stalls }: Watchers): void {
  const { guard, link, pool, dashboard } = context;
  const stop = sampleGateway(context.metrics, {
    nowMs: context.nowMs,
    guard,
    tokenizerQueue: () => pool.queueLength,
    engineRestarts: () => link.restarts,
    stalledMs: () => link.stalledMs,
    sampled: () => {
      const nowSeconds = steadyEpochSeconds();
      guard.run('alerts', () => alerts.tick(nowSeconds));
      guard.run('dashboard', () => dashboard.feed.tick(nowSeconds));
      guard.run('recording', () => recording?.tick(nowSeconds));
      guard.run('stall_report', () => stalls.look());
    },
  });
  app.addHook('onClose', async () => {
    stop();
    await recording?.close(steadyEpochSeconds());
  });
}

function tokenizerPool({ modelFolder, tokenizerThreads, limits }: ServeConfig, tokenizer: Tokenizer): TokenizerPool {
  return new TokenizerPool(tokenizer, modelFolder, tokenizerThreads, limits.tokenizerQueueMax);
}

function stallReporter(
  { watchdog }: ServeConfig,
  link: EngineThreadLink,
  names: RequestNames,
  { log, guard, patience }: Common,
): StallReporter {
  const { engineAnswerMs } = patience;
  return new StallReporter({ link, stallMs: watchdog.stallMs, engineAnswerMs, log, names, guard });
}

function urlOf(app: FastifyInstance, host: string): string {
  const { port } = app.server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function openRecording(config: ServeConfig, page: MetricsPage, log: Logger): Promise<LiveRecording | null> {
  if (config.record === null) return null;
  const report = (event: 'failed' | 'resumed', detail: string) =>
    log[event === 'failed' ? 'error' : 'info']({ event, detail }, `recording of metrics ${event}`);
  return await LiveRecording.open({ ...config.record, page, report });
}

/** What most parts of a server are made with. */
interface Common {
  readonly page: MetricsPage;
  readonly log: Logger;
  readonly guard: Guard;
  readonly patience: ServerPatience;
}

/** Tests give one whose callbacks fail. */
export type MakeGuard = (...parts: ConstructorParameters<typeof Guard>) => Guard;
const newGuard: MakeGuard = (...parts) => new Guard(...parts);

function logFailure(log: Logger, { source, error, count }: CallbackFailure): void {
  log.error({ source, err: error, count }, 'a callback failed (said at the 1st, 10th, 100th, ... time)');
}

async function tracingOf(config: ServeConfig, common: Common): Promise<Tracing | null> {
  if (config.tracing === null) return null;
  // A server without traces does not load what they need.
  const { startTracing } = await import('./tracing/start-tracing.ts');
  const { backend, run } = config;
  const { tensorParallel } = run;
  const model = config.modelNames[0]!;
  const { collectorMs } = common.patience;
  const version = packageVersion();
  return startTracing(config.tracing, { ...common, model, backend, tensorParallel, version, closeMs: collectorMs });
}

function engineLink(
  config: ServeConfig,
  tokenizer: Tokenizer,
  { page, log, guard, patience }: Common,
  tracing: Tracing | null,
  names: RequestNames,
): EngineThreadLink {
  const { run } = config;
  const text = new ReadableText(tokenizer);
  return new EngineThreadLink({
    thread: {
      engine: {
        ...run.engine,
        fastForward: false,
        eosTokenIds: tokenizer.eosTokenIds,
        waitingMax: engineQueueMax(config.limits.waitingMax + run.engine.sequencesMax, config.keys.length),
      },
      backend: simulatedSpec(run, timingSource(run), {
        text: { ids: text.ids, sentenceStarts: text.sentenceStarts, eosTokenId: tokenizer.eosTokenIds[0]! },
        vocabularySize: tokenizer.vocabularySize,
      }),
      timeScale: config.timeScale,
      metrics: page.buffer,
      slowStepFactor: config.watchdog.slowStepFactor,
      spans: config.tracing === null ? null : { tokenIds: config.tracing.tokenIds },
      allocationLog: config.allocationLog,
      labels: { backend: config.backend, model: config.modelNames[0]!, version: packageVersion() },
    },
    hangMs: config.watchdog.hangMs,
    restartMs: config.watchdog.restartMs,
    restartMaxMs: config.watchdog.restartMaxMs,
    nowMs: patience.nowMs,
    guard,
    traced: tracing?.requests ?? null,
    ...engineLogs(log, names),
  });
}

interface Parts extends Common {
  readonly alerts: AlertWatch;
  readonly link: EngineThreadLink;
  readonly tokenizer: Tokenizer;
  readonly pool: TokenizerPool;
  readonly names: RequestNames;
  readonly metrics: GatewayMetrics;
  readonly tracing: RequestTracing | null;
  readonly connectionsMax: number;
  readonly logLinesDropped: () => number;
}

function gatewayContext(config: ServeConfig, parts: Parts): GatewayContext {
  const { run, limits } = config;
  const { tokenizer } = parts;
  return {
    ...parts,
    metricsPage: parts.page,
    dashboard: liveDashboard(config, parts.page, () => parts.alerts.current()),
    served: {
      modelNames: config.modelNames,
      modelLenMax: run.engine.modelLenMax,
      vocabularySize: tokenizer.vocabularySize,
      ...config.requestLimits,
      capabilities: { responseFormat: false, tools: false, allowedTokenIds: false, badWords: false },
    },
    keys: new KeyRing(config.keys),
    keyLimits: new KeyLimits(config.keys, limits.perKey),
    shares: new KeyShares(config.admission, config.limits.fairKeys),
    salts: new SaltTable(config.keys.length),
    nowMs: parts.patience.nowMs,
    engineAnswerMs: parts.patience.engineAnswerMs,
    epochSeconds,
    settings: {
      version: packageVersion(),
      backend: config.backend,
      sequencesMax: run.engine.sequencesMax,
      ...config.http,
      connectionsMax: parts.connectionsMax,
      stallMs: config.watchdog.stallMs,
      loopback: isLoopback(config.host),
      allowedHosts: config.allowedHosts,
      corsOrigins: config.corsOrigins,
      vllmAliases: config.vllmAliases,
      stepTimes: config.stepTimes,
    },
    impliedOutputTokens: impliedAnswerLength,
  };
}

const DRAIN_LOOK_MS = 20;
const LAST_BYTES_MS = 2000;

/** The ways down: `drained` lets live calls end for a while, `now` does not. Both can be called often and together. */
function stopper(
  app: FastifyInstance,
  link: EngineThreadLink,
  closeRest: () => Promise<void>,
  drainMs: number,
  { log, guard }: Common,
) {
  let going: Promise<void> | null = null;
  let down: () => void;
  const closed = new Promise<void>((resolve) => {
    down = resolve;
  });
  const now = async (): Promise<void> => {
    await link.close();
    await app.close();
    await closeRest();
    down();
  };
  const drained = (reason: string): Promise<void> => {
    going ??= (async () => {
      log.info({ reason, live: link.live }, 'draining');
      const deadlineMs = wallNs() / 1e6 + drainMs;
      link.beginDrain();
      while (link.live > 0 && wallNs() / 1e6 < deadlineMs) await timers.setTimeout(DRAIN_LOOK_MS);
      await link.close();
      // Answers that are complete may still be on their way to a slow reader.
      const cut = guard.after('shutdown', LAST_BYTES_MS, () => app.server.closeAllConnections());
      await app.close();
      clearTimeout(cut);
      await closeRest();
      log.info({}, 'down');
      down();
    })();
    return going;
  };
  return { closed, now, drained };
}
