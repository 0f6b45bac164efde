import {
  acceptsOpenMetrics,
  OPENMETRICS_CONTENT_TYPE,
  PLACES,
  PROMETHEUS_CONTENT_TYPE,
  renderMetrics,
} from '../../observability/index.ts';
import { KEY, OPEN, PROBE, type RouteRegistry } from '../access.ts';
import type { GatewayContext } from '../context.ts';

/** What load balancers, scrapers and routers ask. None of it waits for the engine. */
export function healthRoutes(app: RouteRegistry, context: GatewayContext): void {
  const { link, settings } = context;

  app.get('/health/live', PROBE, async () => ({ status: 'ok' }));

  app.get('/health', PROBE, async (_request, reply) => {
    const problem = unhealthy(context);
    if (problem === null) return { status: 'ok' };
    return reply.code(503).send({ status: 'unavailable', reason: problem });
  });

  app.get('/version', OPEN, async () => ({ version: settings.version }));

  app.get('/metrics', PROBE, async (request, reply) => {
    const openMetrics = acceptsOpenMetrics(request.headers.accept);
    reply.header('content-type', openMetrics ? OPENMETRICS_CONTENT_TYPE : PROMETHEUS_CONTENT_TYPE);
    const { vllmAliases } = settings;
    const exemplars = context.tracing === null ? {} : { exemplars: context.tracing.exemplars.source };
    return renderMetrics(context.metricsPage, { openMetrics, vllmAliases, ...exemplars });
  });

  app.get('/load', KEY, async () => {
    const { status } = link;
    return {
      state: link.state,
      live_requests: link.live,
      running_sequences: status.runningSequences,
      waiting_sequences: status.waitingSequences,
      swapped_sequences: status.swappedSequences,
      kv_blocks_total: status.blocksTotal,
      kv_blocks_used: status.blocksUsed,
      kv_blocks_cached: status.blocksCached,
      steps: status.stepsDone,
      output_tokens: status.outputTokens,
      tokenizer_queue: context.pool.queueLength,
      engine_restarts: link.restarts,
      log_lines_dropped: context.logLinesDropped(),
      pace_error_p99_ms: status.paceErrorP99Ns / 1e6,
      pace_error_last_ms: status.paceErrorLastNs / 1e6,
    };
  });
}

/** Why the server should get no traffic, or null. */
function unhealthy(context: GatewayContext): string | null {
  const { link, settings } = context;
  if (link.state !== 'running') return `the engine is ${link.state}`;
  if (link.status.deviceLost === 1) return 'the device is lost';
  const gpus = unhealthyGpus(context);
  if (gpus.length > 0)
    return gpus.length === 1 ? `GPU ${gpus[0]} is unhealthy` : `GPUs ${gpus.join(', ')} are unhealthy`;
  if (link.stalledMs > settings.stallMs)
    return `requests wait and no step has ended for ${Math.round(link.stalledMs)} ms`;
  return null;
}

const GPU_HEALTH = PLACES.get('gpu_health_status')!;

/** By the last reading of the engine's thread, at most a second old while it works. */
function unhealthyGpus({ metricsPage }: GatewayContext): string[] {
  const { at, series } = GPU_HEALTH;
  return series.filter((_, index) => metricsPage.cells[at + index] === 0).map(([gpu]) => gpu!);
}
