import type { Guard } from '../../gateway/guard.ts';
import type { GatewayMetrics } from '../../observability/index.ts';
import { eventLoopTimes } from '../system-clock.ts';
import { ProcessUsage } from './process-usage.ts';

export interface GatewaySources {
  readonly nowMs: () => number;
  readonly guard: Guard;
  readonly tokenizerQueue: () => number;
  readonly engineRestarts: () => number;
  readonly stalledMs: () => number;
  /** After each sample, once a second: what else looks at the metrics. */
  readonly sampled?: () => void;
}

const TICK_MS = 100;
const TICKS_PER_SAMPLE = 10;

/**
 * Reads once a second what the gateway's thread knows of itself into its metrics. How late a timer of 100 ms runs is the delay
 * of the event loop: every long blockade is seen, for ten calls a second, where Node's own histogram of delays loses what lies
 * between two percentiles and takes about 1 % of a processor at 10 ms. Returns what stops it.
 */
export function sampleGateway(metrics: GatewayMetrics, sources: GatewaySources): () => void {
  let dueMs = sources.nowMs() + TICK_MS;
  let ticks = 0;
  let before = eventLoopTimes();
  const usage = new ProcessUsage();
  const { guard } = sources;
  const timer = guard.every('event_loop', TICK_MS, () => {
    const nowMs = sources.nowMs();
    metrics.eventLoopDelay((nowMs - dueMs) / 1000);
    dueMs = nowMs + TICK_MS;
    if (++ticks % TICKS_PER_SAMPLE !== 0) return;
    const times = eventLoopTimes();
    const activeMs = times.activeMs - before.activeMs;
    const elapsedMs = activeMs + times.idleMs - before.idleMs;
    before = times;
    guard.run('sample', () =>
      metrics.sample({
        nowMs,
        tokenizerQueue: sources.tokenizerQueue(),
        engineRestarts: sources.engineRestarts(),
        stalledMs: sources.stalledMs(),
        eventLoopUtilization: elapsedMs > 0 ? activeMs / elapsedMs : 0,
        eventLoopActiveMs: times.activeMs,
        process: usage.read(),
      }),
    );
    sources.sampled?.();
  });
  timer.unref();
  return () => {
    clearInterval(timer);
    usage.close();
  };
}
