import { ALERT_RULES, runbookUrl } from '../observability/alerts/index.ts';
import type { DashboardRule } from '../observability/dashboard/dashboard-page.ts';

/** The rules as the dashboard lists them. */
export function dashboardRules(): DashboardRule[] {
  return ALERT_RULES.map(({ name, severity, forSeconds, summary }) => ({
    name,
    severity,
    forSeconds,
    summary,
    runbookUrl: runbookUrl(name),
  }));
}
