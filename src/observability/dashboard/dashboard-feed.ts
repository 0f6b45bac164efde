import type { ActiveAlert } from '../alerts/index.ts';
import { MetricsHistory } from '../metrics-history.ts';
import type { MetricsPage } from '../metrics-page.ts';
import { MetricsSnapshot } from '../metrics-snapshot.ts';
import { lastFrame } from './dashboard-frames.ts';

/** 15 minutes of seconds. */
const FRAMES_MAX = 900;

export interface DashboardFeedOptions {
  readonly page: MetricsPage;
  /** Pending and firing now; null = nobody evaluates them. */
  readonly alerts: () => readonly ActiveAlert[] | null;
  /** Viewers at the same time. */
  readonly viewersMax: number;
}

/** Who looks at the dashboard: gets events as text, in the format of server-sent events. */
export interface DashboardViewer {
  send(events: string): void;
  /** The server goes down. */
  end(): void;
}

/**
 * What the live dashboard is fed with: the last 15 minutes, second by second, and each new second. It reads the shared page alone, so
 * that it goes on while the engine hangs. Has no timer: somebody calls `tick`.
 */
export class DashboardFeed {
  private readonly options: DashboardFeedOptions;
  private readonly snapshot = new MetricsSnapshot();
  private readonly history = new MetricsHistory({ rowsMax: FRAMES_MAX, intervalSeconds: 1 });
  /** The frames as JSON, so that a viewer who comes costs no more than joining them. */
  private frames: string[] = [];
  private alerts = 'null';
  private readonly viewers = new Set<DashboardViewer>();

  constructor(options: DashboardFeedOptions) {
    this.options = options;
  }

  /** Once a second. `timeSeconds`: since 1970, ascending. */
  tick(timeSeconds: number): void {
    if (this.history.length > 0 && timeSeconds <= this.history.timeSeconds(this.history.length - 1)) return;
    this.snapshot.take(this.options.page);
    this.history.add(timeSeconds, this.snapshot.cells);
    const frame = JSON.stringify(lastFrame(this.history));
    this.frames.push(frame);
    if (this.frames.length > FRAMES_MAX) this.frames.shift();
    let events = event('frame', frame);
    const alerts = JSON.stringify(this.options.alerts());
    if (alerts !== this.alerts) events = event('alerts', alerts) + events;
    this.alerts = alerts;
    for (const viewer of this.viewers) viewer.send(events);
  }

  /** Nobody more is to be added. */
  get full(): boolean {
    return this.viewers.size >= this.options.viewersMax;
  }

  /** The viewer gets what there is, then each second. */
  add(viewer: DashboardViewer): void {
    this.viewers.add(viewer);
    viewer.send(event('alerts', this.alerts) + event('init', `[${this.frames.join(',')}]`));
  }

  /** Idempotent. */
  remove(viewer: DashboardViewer): void {
    this.viewers.delete(viewer);
  }

  close(): void {
    for (const viewer of this.viewers) viewer.end();
    this.viewers.clear();
  }
}

function event(name: string, data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`;
}
