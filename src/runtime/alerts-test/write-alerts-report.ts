import { join } from 'node:path';
import { OutputFiles } from '../output-files.ts';
import { alertsHtml } from './alerts-html.ts';
import type { AlertsTest } from './alerts-test.ts';

/** Writes the result as data and as a page into a folder. Returns the paths. Throws InputError for a folder that cannot be used. */
export function writeAlertsReport(directory: string, test: AlertsTest): string[] {
  const files = new OutputFiles();
  try {
    files.makeFolder('--out', directory);
    files.create('--out', join(directory, 'alerts.json')).write(`${JSON.stringify(test, null, 2)}\n`);
    files.create('--out', join(directory, 'alerts.html')).write(alertsHtml(test));
    return files.commit();
  } finally {
    files.abandon();
  }
}
