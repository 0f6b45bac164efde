import { type Engine, type EngineEvents, EventFanout, PRIORITY, type Task, type VirtualClock } from '../core/index.ts';
import {
  createMetricsPage,
  EngineMetrics,
  GatewayMetrics,
  GatewayOutcomes,
  type InfoLabels,
  MetricsHistory,
  type MetricsPage,
  MetricsSnapshot,
} from '../observability/index.ts';
import type { RunObserver } from './run-spec.ts';

export interface MetricsObserverOptions {
  /** Simulated time between two samples, seconds; default 15, a usual scrape interval. */
  readonly intervalSeconds?: number;
  /** Of `engine_info`: model and version. */
  readonly labels?: InfoLabels;
}

const INTERVAL_SECONDS = 15;

/**
 * The metrics of a simulated run, as a Prometheus that scrapes a server would have them: the same page, filled by the same
 * listeners, sampled at regular simulated times from 0 until the run has ended. Changes nothing in the run.
 */
export class MetricsObserver implements RunObserver, Task {
  readonly history: MetricsHistory;
  readonly events: EngineEvents;
  private readonly listeners: EngineEvents[] = [];
  private readonly page: MetricsPage = createMetricsPage();
  private readonly snapshot = new MetricsSnapshot();
  private readonly intervalNs: number;
  private readonly labels: InfoLabels;
  private metrics: EngineMetrics | null = null;
  private clock: VirtualClock | null = null;
  private ended: () => boolean = () => true;
  private samples = 0;

  constructor(options: MetricsObserverOptions = {}) {
    const intervalSeconds = options.intervalSeconds ?? INTERVAL_SECONDS;
    this.intervalNs = Math.round(intervalSeconds * 1e9);
    this.labels = { backend: 'simulator', ...options.labels };
    this.history = new MetricsHistory({ rowsMax: Number.POSITIVE_INFINITY, intervalSeconds });
    this.events = new EventFanout(this.listeners);
  }

  attach(engine: Engine, clock: VirtualClock, ended: () => boolean): void {
    this.clock = clock;
    this.ended = ended;
    this.metrics = new EngineMetrics(this.page, {
      config: engine.config,
      backend: engine.backend,
      labels: this.labels,
    });
    this.metrics.attach(engine);
    this.listeners.push(this.metrics, new GatewayOutcomes(new GatewayMetrics(this.page)));
    this.run(clock.nowNs());
  }

  /** A sample is due. */
  run(nowNs: number): void {
    this.metrics!.sample(nowNs);
    this.snapshot.take(this.page);
    this.history.add(nowNs / 1e9, this.snapshot.cells);
    this.history.info = this.page.getInfo();
    if (this.samples > 0 && this.ended()) return;
    // From the count, so that intervals add up exactly.
    this.clock!.at(++this.samples * this.intervalNs, PRIORITY.sample, this);
  }
}
