import { type Engine, PRIORITY, type Task, type VirtualClock } from '../core/index.ts';
import {
  auditBlocks,
  createMetricsPage,
  EngineMetrics,
  GatewayMetrics,
  GatewayOutcomes,
  type InfoLabels,
  MetricsHistory,
  type MetricsPage,
  MetricsSnapshot,
} from '../observability/index.ts';
import { MeteredEvents } from './metered-events.ts';
import { packageVersion } from './package-folder.ts';
import type { RunObserver, RunSpec } from './run-spec.ts';

export interface MetricsObserverOptions {
  /** Simulated time between two samples, seconds; default 15, a usual scrape interval. */
  readonly intervalSeconds?: number;
  /** Of `engine_info`: model and version. */
  readonly labels?: InfoLabels;
  /** When the process is down: scrapes fail, and metrics begin anew when it is back. */
  readonly outages?: readonly Outage[];
}

export interface Outage {
  readonly fromNs: number;
  readonly toNs: number;
}

const INTERVAL_SECONDS = 15;
const AUDIT_NS = 60e9;

/**
 * The metrics of a simulated run, as a Prometheus that scrapes a server would have them: the same page, filled by the same
 * listeners, sampled at regular simulated times from 0 until the run has ended. Changes nothing in the run.
 */
export class MetricsObserver implements RunObserver, Task {
  readonly history: MetricsHistory;
  readonly events = new MeteredEvents();
  private readonly page: MetricsPage = createMetricsPage();
  private readonly snapshot = new MetricsSnapshot();
  private readonly intervalNs: number;
  private readonly labels: InfoLabels;
  private readonly outages: readonly Outage[];
  private engine: Engine | null = null;
  private ended: () => boolean = () => true;
  private samples = 0;
  private auditDueNs = AUDIT_NS;

  /** Of a run, with the labels that its server would have. */
  static of(spec: RunSpec, intervalSeconds: number = INTERVAL_SECONDS): MetricsObserver {
    const labels = { model: spec.model.name, version: packageVersion() };
    return new MetricsObserver({
      intervalSeconds,
      labels,
      outages: spec.faults.filter((fault) => fault.kind === 'process-down'),
    });
  }

  constructor(options: MetricsObserverOptions = {}) {
    const intervalSeconds = options.intervalSeconds ?? INTERVAL_SECONDS;
    this.intervalNs = Math.round(intervalSeconds * 1e9);
    this.labels = { backend: 'simulator', ...options.labels };
    this.outages = options.outages ?? [];
    this.history = new MetricsHistory({ rowsMax: Number.POSITIVE_INFINITY, intervalSeconds });
  }

  attach(engine: Engine, clock: VirtualClock, ended: () => boolean): void {
    this.engine = engine;
    this.ended = ended;
    this.begin();
    this.run(clock.nowNs());
  }

  /** A sample is due. */
  run(nowNs: number): void {
    if (this.outages.some(({ fromNs, toNs }) => nowNs >= fromNs && nowNs < toNs)) {
      this.history.addDown(nowNs / 1e9);
    } else {
      if (nowNs >= this.auditDueNs) this.audit(nowNs);
      this.events.engine!.sample(nowNs);
      this.snapshot.take(this.page);
      this.history.add(nowNs / 1e9, this.snapshot.cells);
      this.history.info = this.page.getInfo();
    }
    if (this.samples > 0 && this.ended()) return;
    const { clock } = this.engine!;
    // From the count, so that intervals add up exactly.
    const nextNs = ++this.samples * this.intervalNs;
    for (const { toNs } of this.outages) {
      if (toNs > nowNs && toNs <= nextNs) clock.at(toNs, PRIORITY.fault, { run: () => this.begin() });
    }
    clock.at(nextNs, PRIORITY.sample, this);
  }

  /** A process has begun: its counters are 0. */
  private begin(): void {
    this.page.cells.set(createMetricsPage().cells);
    const { config, backend } = this.engine!;
    const metrics = new EngineMetrics(this.page, { config, backend, labels: this.labels, sampledOnly: true });
    metrics.attach(this.engine!);
    this.events.engine = metrics;
    this.events.gateway = new GatewayOutcomes(new GatewayMetrics(this.page));
  }

  private audit(nowNs: number): void {
    this.auditDueNs = nowNs + AUDIT_NS;
    const { orphaned, mismatched } = auditBlocks(this.engine!);
    this.events.engine!.audited(orphaned, mismatched);
  }
}
