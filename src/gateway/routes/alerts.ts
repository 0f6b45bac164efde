import { runbookUrl } from '../../observability/alerts/index.ts';
import { DEBUG, type RouteRegistry } from '../access.ts';
import type { GatewayContext } from '../context.ts';

/** What the server's own alert rules say. */
export function alertRoutes(app: RouteRegistry, { alerts }: GatewayContext): void {
  app.get('/debug/alerts', DEBUG, async () => ({
    alerts: alerts.current().map((each) => ({
      alert: each.alert,
      severity: each.severity,
      state: each.state,
      labels: each.labels,
      since: each.sinceSeconds,
      firing_since: each.firingSinceSeconds,
      // JSON has no NaN and no infinity.
      value: Number.isFinite(each.value) ? each.value : null,
      summary: each.summary,
      description: each.description,
      runbook: runbookUrl(each.alert),
    })),
  }));
}
