import { evaluateAlerts } from '../observability/alerts/index.ts';
import { framesOf, wholeRun } from '../observability/dashboard/dashboard-frames.ts';
import { dashboardPage } from '../observability/dashboard/dashboard-page.ts';
import type { MetricsHistory } from '../observability/metrics-history.ts';
import { dashboardAssets } from './dashboard-assets.ts';
import { dashboardRules } from './dashboard-rules.ts';

/** More points than a chart has pixels, and a page of about a megabyte. */
const FRAMES_MAX = 1440;

export interface RecordedDashboardInput {
  readonly history: MetricsHistory;
  /** Heading: the model, the scenario or the recording's name. */
  readonly title: string;
}

/** The dashboard of a run that is over, as one HTML page with its data. Throws RangeError for a history without rows. */
export function recordedDashboard({ history, title }: RecordedDashboardInput): string {
  const seconds = history.timeSeconds(history.length - 1) - history.timeSeconds(0);
  const { backend, model, version } = history.info ?? {};
  const source = backend === 'simulator' ? 'simulated device' : backend;
  const detail = [
    title === model ? undefined : model,
    source,
    version === undefined ? undefined : `Twinfer ${version}`,
    `${durationText(seconds)}, a sample each ${history.intervalSeconds} s`,
  ];
  return dashboardPage({
    assets: dashboardAssets(),
    mode: 'recorded',
    title,
    detail: detail.filter((part) => part !== undefined).join(' · '),
    rules: dashboardRules(),
    recording: {
      frames: framesOf(history, FRAMES_MAX),
      whole: wholeRun(history),
      intervals: evaluateAlerts(history).intervals,
    },
  }).html;
}

function durationText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
