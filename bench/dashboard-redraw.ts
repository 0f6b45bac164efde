import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadScenario } from '../src/config/load-scenario.ts';
import { resolveScenario } from '../src/config/resolve-scenario.ts';
import { MetricsObserver } from '../src/runtime/metrics-observer.ts';
import { recordedDashboard } from '../src/runtime/recorded-dashboard.ts';
import { runSimulation } from '../src/runtime/run-simulation.ts';
import { launchBrowser, openPage } from '../test/support/browser.ts';

// How long the dashboard takes to draw itself anew, as it does once a second: npx tsx bench/dashboard-redraw.ts
// Script time in headless Chromium, without what the browser itself then paints. Needs /usr/bin/chromium.

const POINTS = 900;
const REDRAWS = 200;

/** The page's own drawing runs in one callback of a screen refresh; callbacks before and after it take the time. */
const TIMED = `new Promise((resolve) => {
  let begin = 0;
  requestAnimationFrame(() => { begin = performance.now(); });
  document.dispatchEvent(new Event('visibilitychange'));
  requestAnimationFrame(() => resolve(performance.now() - begin));
})`;

const spec = resolveScenario(loadScenario('scenarios/speculative.yaml'));
const observer = new MetricsObserver({ intervalSeconds: 600 / (POINTS - 1) });
await runSimulation(spec, { observers: [observer] });
const folder = mkdtempSync(join(tmpdir(), 'twinfer-redraw-'));
const file = join(folder, 'page.html');
writeFileSync(file, recordedDashboard({ history: observer.history, title: 'redraw' }));
const browser = await launchBrowser();
try {
  for (const [what, height] of [
    ['what a window of 1280 x 900 shows', 900],
    ['all charts', 6000],
  ] as const) {
    const { page } = await openPage(browser, pathToFileURL(file).href, { height });
    const times: number[] = [];
    for (let i = 0; i < REDRAWS; i++) times.push((await page.evaluate(TIMED)) as number);
    times.sort((a, b) => a - b);
    const charts = (await page.evaluate(
      "[...document.querySelectorAll('.panel:not([hidden])')].filter((p) => p.getBoundingClientRect().top < innerHeight).length",
    )) as number;
    const at = (share: number) => times[Math.floor(share * (REDRAWS - 1))]!.toFixed(1);
    process.stdout.write(
      `${what}: ${charts} charts of ${observer.history.length} points: best ${at(0.05)} ms (p5), median ${at(0.5)} ms, p95 ${at(0.95)} ms\n`,
    );
    await page.context().close();
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
