import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { GatewayMetrics } from '../../observability/index.ts';

export interface GatewaySources {
  readonly nowMs: () => number;
  readonly tokenizerQueue: () => number;
  readonly engineRestarts: () => number;
  readonly stalledMs: () => number;
}

const SAMPLE_MS = 1000;
const DELAY_RESOLUTION_MS = 20;
/** The delay's distribution since the last sample, handed on by its deciles. */
const DECILES = [5, 15, 25, 35, 45, 55, 65, 75, 85, 95] as const;

/** Reads once a second what the gateway's thread knows of itself into its metrics. Returns what stops it. */
export function sampleGateway(metrics: GatewayMetrics, sources: GatewaySources): () => void {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  let before: EventLoopUtilization = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    for (const decile of DECILES) {
      // The histogram holds whole intervals of the timer, lateness included.
      metrics.eventLoopDelay(delay.percentile(decile) / 1e9 - DELAY_RESOLUTION_MS / 1000);
    }
    delay.reset();
    metrics.sample({
      nowMs: sources.nowMs(),
      tokenizerQueue: sources.tokenizerQueue(),
      engineRestarts: sources.engineRestarts(),
      stalledMs: sources.stalledMs(),
      eventLoopUtilization: performance.eventLoopUtilization(now, before).utilization,
      eventLoopActiveMs: now.active,
    });
    before = now;
  }, SAMPLE_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}
