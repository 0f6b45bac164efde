/** The runbook where the repository is at hand; a URL where it is not. */
export const DEFAULT_RUNBOOK = 'OPERATIONS.md';

/** The section on an alert: its heading is the alert's name. */
export function runbookUrl(alert: string, base: string = DEFAULT_RUNBOOK): string {
  return `${base}#${alert.toLowerCase()}`;
}
