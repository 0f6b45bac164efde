import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { DashboardAssets } from '../observability/dashboard/dashboard-page.ts';

/** Of the page's script, each after those that it imports. */
const MODULES = [
  'format',
  'model',
  'theme',
  'thresholds',
  'heatmap',
  'store',
  'view',
  'chart',
  'tile',
  'gauge',
  'alerts',
  'table-view',
  'live',
  'main',
] as const;

/** Reads what the dashboard's page is made of. */
export function dashboardAssets(): DashboardAssets {
  const require = createRequire(import.meta.url);
  const own = (name: string) =>
    readFileSync(new URL(`../observability/dashboard/page/${name}`, import.meta.url), 'utf8');
  const uPlot = (name: string) => readFileSync(require.resolve(`uplot/dist/${name}`), 'utf8');
  return {
    scripts: MODULES.map((name) => own(`${name}.js`)),
    style: own('dashboard.css'),
    uPlotScript: uPlot('uPlot.iife.min.js'),
    uPlotStyle: uPlot('uPlot.min.css'),
  };
}
