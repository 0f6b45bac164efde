import type { ServeConfig } from '../../config/serve-config.ts';
import type { ActiveAlert } from '../../observability/alerts/index.ts';
import { DashboardFeed } from '../../observability/dashboard/dashboard-feed.ts';
import { type DashboardPage, dashboardPage } from '../../observability/dashboard/dashboard-page.ts';
import type { MetricsPage } from '../../observability/index.ts';
import { dashboardAssets } from '../dashboard-assets.ts';
import { dashboardRules } from '../dashboard-rules.ts';
import { packageVersion } from '../package-folder.ts';

/** Each gets about a kilobyte a second. */
const VIEWERS_MAX = 32;

/** The dashboard of a server: its page, made once, and its feed, which wants a `tick` a second. */
export function liveDashboard(
  config: ServeConfig,
  page: MetricsPage,
  alerts: () => readonly ActiveAlert[] | null,
): { readonly page: DashboardPage; readonly feed: DashboardFeed } {
  const { run } = config;
  const gpus = run.tensorParallel === 1 ? run.device.name : `${run.tensorParallel} × ${run.device.name}`;
  const detail = [`${config.backend} ${gpus}`, `${run.engine.blocksTotal.toLocaleString('en-US')} KV blocks`];
  return {
    page: dashboardPage({
      assets: dashboardAssets(),
      mode: 'live',
      title: config.modelNames[0]!,
      detail: [...detail, `Twinfer ${packageVersion()}`].join(' · '),
      rules: dashboardRules(),
      recording: null,
    }),
    feed: new DashboardFeed({ page, alerts, viewersMax: VIEWERS_MAX }),
  };
}
