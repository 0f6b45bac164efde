import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import pino, { type Logger } from 'pino';
import type { ServeConfig } from '../config/serve-config.ts';
import { KeyRing } from '../gateway/auth.ts';
import type { GatewayContext } from '../gateway/context.ts';
import { AdmissionBook } from '../gateway/limits/admission-book.ts';
import { logOptions } from '../gateway/limits/log-options.ts';
import { KeyLimits } from '../gateway/limits/rate-limit.ts';
import { SaltTable } from '../gateway/limits/salts.ts';
import { createServer } from '../gateway/server.ts';
import { createMetricsPage, GatewayMetrics, type MetricsPage } from '../observability/index.ts';
import { ReadableText, type Tokenizer } from '../tokenizer/index.ts';
import { impliedAnswerLength } from './answer-length.ts';
import { logDestination } from './log-file.ts';
import { openTokenizer } from './open-tokenizer.ts';
import { packageVersion } from './package-folder.ts';
import { AlertWatch } from './serving/alert-watch.ts';
import { EngineThreadLink } from './serving/engine-thread-link.ts';
import { sampleGateway } from './serving/gateway-sampler.ts';
import { liveDashboard } from './serving/live-dashboard.ts';
import { LiveRecording } from './serving/live-recording.ts';
import { epochSeconds, steadyEpochSeconds, wallNs } from './system-clock.ts';
import { timingSource } from './timing-source.ts';
import { TokenizerPool } from './tokenizer-pool.ts';

export interface Serving {
  readonly url: string;
  readonly tokenizer: string;
  /** Resolves when the server is down. */
  readonly closed: Promise<void>;
  /** Takes no new requests, lets those that are here end until the drain time is over, then ends the rest; idempotent. */
  stop(reason: string): Promise<void>;
  /** For tests of what happens when the engine fails. */
  readonly link: EngineThreadLink;
}

/**
 * Starts engine thread, tokenizer pool and HTTP server; resolves when requests are taken. Throws what is wrong with the configuration's
 * files, and the system's error when the address is taken.
 */
export async function startServing(config: ServeConfig): Promise<Serving> {
  const tokenizer = openTokenizer(config.modelFolder);
  const page = createMetricsPage();
  const destination = logDestination(config.logFile);
  const log = pino(logOptions(config.logLevel), destination);
  const link = engineLink(config, tokenizer, page, log);
  const recording = await openRecording(config, page, log);
  await link.start();
  const pool = new TokenizerPool(
    tokenizer,
    config.modelFolder,
    config.tokenizerThreads,
    config.limits.tokenizerQueueMax,
  );
  const alerts = new AlertWatch(page, log);
  const context = gatewayContext(config, {
    alerts,
    link,
    tokenizer,
    pool,
    page,
    log,
    logLinesDropped: () => destination.linesDropped,
  });
  const app = await createServer(context);
  const stopSampling = sampleGateway(context.metrics, {
    nowMs: context.nowMs,
    tokenizerQueue: () => pool.queueLength,
    engineRestarts: () => link.restarts,
    stalledMs: () => link.stalledMs,
    sampled: () => {
      const nowSeconds = steadyEpochSeconds();
      alerts.tick(nowSeconds);
      context.dashboard.feed.tick(nowSeconds);
      void recording?.tick(nowSeconds);
    },
  });
  app.addHook('onClose', async () => {
    stopSampling();
    await recording?.close(steadyEpochSeconds());
  });
  const stop = stopper(app, link, pool, config.limits.drainTimeoutMs, log);
  try {
    await app.listen({ host: config.host, port: config.port });
  } catch (error) {
    await stop.now();
    throw error;
  }
  const { port } = app.server.address() as AddressInfo;
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  return { url: `http://${host}:${port}`, tokenizer: tokenizer.name, closed: stop.closed, stop: stop.drained, link };
}

async function openRecording(config: ServeConfig, page: MetricsPage, log: Logger): Promise<LiveRecording | null> {
  if (config.record === null) return null;
  const report = (event: 'failed' | 'resumed', detail: string) =>
    log[event === 'failed' ? 'error' : 'info']({ event, detail }, `recording of metrics ${event}`);
  return await LiveRecording.open({ ...config.record, page, report });
}

function engineLink(config: ServeConfig, tokenizer: Tokenizer, page: MetricsPage, log: Logger): EngineThreadLink {
  const { run } = config;
  const text = new ReadableText(tokenizer);
  return new EngineThreadLink({
    thread: {
      engine: {
        ...run.engine,
        fastForward: false,
        eosTokenIds: tokenizer.eosTokenIds,
        waitingMax: config.limits.waitingMax + run.engine.sequencesMax,
      },
      model: run.model,
      device: run.device,
      tensorParallel: run.tensorParallel,
      timing: timingSource(run),
      memory: run.memory,
      faults: run.faults,
      seed: run.seed,
      text: { ids: text.ids, sentenceStarts: text.sentenceStarts, eosTokenId: tokenizer.eosTokenIds[0]! },
      vocabularySize: tokenizer.vocabularySize,
      timeScale: config.timeScale,
      metrics: page.buffer,
      slowStepFactor: config.watchdog.slowStepFactor,
      labels: { backend: config.backend, model: config.modelNames[0]!, version: packageVersion() },
    },
    hangMs: config.watchdog.hangMs,
    restartMs: config.watchdog.restartMs,
    restartMaxMs: config.watchdog.restartMaxMs,
    nowMs: () => wallNs() / 1e6,
    onEvent: (event, detail) => log[event === 'started' ? 'info' : 'error']({ event, detail }, `engine ${event}`),
  });
}

interface Parts {
  readonly alerts: AlertWatch;
  readonly link: EngineThreadLink;
  readonly tokenizer: Tokenizer;
  readonly pool: TokenizerPool;
  readonly page: MetricsPage;
  readonly log: Logger;
  readonly logLinesDropped: () => number;
}

function gatewayContext(config: ServeConfig, parts: Parts): GatewayContext {
  const { run, limits } = config;
  const { tokenizer } = parts;
  return {
    ...parts,
    metricsPage: parts.page,
    metrics: new GatewayMetrics(parts.page),
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
    book: new AdmissionBook(config.admission),
    salts: new SaltTable(),
    nowMs: () => wallNs() / 1e6,
    epochSeconds,
    settings: {
      version: packageVersion(),
      backend: config.backend,
      sequencesMax: run.engine.sequencesMax,
      ...config.http,
      stallMs: config.watchdog.stallMs,
      corsOrigins: config.corsOrigins,
      vllmAliases: config.vllmAliases,
      stepTimes: config.stepTimes,
    },
    impliedOutputTokens: impliedAnswerLength,
  };
}

const DRAIN_LOOK_MS = 20;
const LAST_BYTES_MS = 2000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The ways down: `drained` lets live calls end for a while, `now` does not. Both can be called often and together. */
function stopper(app: FastifyInstance, link: EngineThreadLink, pool: TokenizerPool, drainMs: number, log: Logger) {
  let going: Promise<void> | null = null;
  let down: () => void;
  const closed = new Promise<void>((resolve) => {
    down = resolve;
  });
  const now = async (): Promise<void> => {
    await link.close();
    await app.close();
    await pool.close();
    down();
  };
  const drained = (reason: string): Promise<void> => {
    going ??= (async () => {
      log.info({ reason, live: link.live }, 'draining');
      const deadlineMs = wallNs() / 1e6 + drainMs;
      link.beginDrain();
      while (link.live > 0 && wallNs() / 1e6 < deadlineMs) await pause(DRAIN_LOOK_MS);
      await link.close();
      // Answers that are complete may still be on their way to a slow reader.
      const cut = setTimeout(() => app.server.closeAllConnections(), LAST_BYTES_MS);
      await app.close();
      clearTimeout(cut);
      await pool.close();
      log.info({}, 'down');
      down();
    })();
    return going;
  };
  return { closed, now, drained };
}
