import type { GatewayMetrics } from '../observability/index.ts';
import { eventLoopTimes, wallNs } from './system-clock.ts';

const TICK_MS = 100;
const TICKS_PER_SAMPLE = 10;

/** What the gateway's parts say of themselves when they are asked. */
export interface GatewayProbes {
  readonly tokenizerQueue: () => number;
  readonly engineRestarts: () => number;
  readonly stalledMs: () => number;
}

/**
 * Reads the gateway once a second into its metrics. A timer of 100 ms, less its own length, gives the delays of the event loop:
 * ten calls a second, where Node's histogram of delays with a resolution of 10 ms takes 1 % of a processor. Returns what stops it.
 */
export function sampleGateway(metrics: GatewayMetrics, probes: GatewayProbes): () => void {
  let dueNs = wallNs() + TICK_MS * 1e6;
  let ticks = 0;
  let before = eventLoopTimes();
  const timer = setInterval(() => {
    const nowNs = wallNs();
    metrics.eventLoopDelay((nowNs - dueNs) / 1e9);
    dueNs = nowNs + TICK_MS * 1e6;
    if (++ticks % TICKS_PER_SAMPLE !== 0) return;
    const times = eventLoopTimes();
    const activeMs = times.activeMs - before.activeMs;
    const elapsedMs = activeMs + times.idleMs - before.idleMs;
    before = times;
    metrics.sample({
      nowMs: nowNs / 1e6,
      tokenizerQueue: probes.tokenizerQueue(),
      engineRestarts: probes.engineRestarts(),
      stalledMs: probes.stalledMs(),
      eventLoopUtilization: elapsedMs > 0 ? activeMs / elapsedMs : 0,
      eventLoopActiveMs: times.activeMs,
    });
  }, TICK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
