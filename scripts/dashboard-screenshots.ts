import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { loadScenario } from '../src/config/load-scenario.ts';
import { resolveScenario } from '../src/config/resolve-scenario.ts';
import { MetricsObserver } from '../src/runtime/metrics-observer.ts';
import { recordedDashboard } from '../src/runtime/recorded-dashboard.ts';
import { runSimulation } from '../src/runtime/run-simulation.ts';
import { launchBrowser, openPage, type ViewOptions } from '../test/support/browser.ts';
import { startTestServer } from '../test/support/test-server.ts';

// Takes the pictures of the dashboard that README.md shows: npx tsx scripts/dashboard-screenshots.ts. Needs /usr/bin/chromium.

const IMAGES = new URL('../docs/images/', import.meta.url).pathname;
const LIVE_MS = 66_000;
const WORDS = 'tell me how paged attention keeps the memory of a GPU busy and what a prefix cache is good for '.repeat(
  30,
);
const SIZE = { width: 1280, height: 1000 } as const;

mkdirSync(IMAGES, { recursive: true });
const browser = await launchBrowser();
try {
  await simulated(browser);
  await live(browser);
} finally {
  await browser.close();
}

/** A day with an incident for every alert. */
async function simulated(browser: Browser): Promise<void> {
  const spec = resolveScenario(loadScenario('scenarios/alerts/day.yaml'));
  const observer = MetricsObserver.of(spec);
  await runSimulation(spec, { observers: [observer] });
  const folder = mkdtempSync(join(tmpdir(), 'twinfer-screenshots-'));
  try {
    const file = join(folder, 'day.html');
    writeFileSync(file, recordedDashboard({ history: observer.history, title: spec.scenario }));
    await picture(browser, pathToFileURL(file).href, 'dashboard-simulated.png', { ...SIZE, scheme: 'light' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A server with a minute of chat, in waves. */
async function live(browser: Browser): Promise<void> {
  const server = await startTestServer({ timeScale: 1, modelNames: ['llama-3.1-8b'] });
  try {
    const endMs = performance.now() + LIVE_MS;
    const clients = Array.from({ length: 32 }, (_, i) => client(server.url, server.key, i, endMs));
    await new Promise((resolve) => setTimeout(resolve, LIVE_MS - 3000));
    await picture(
      browser,
      `${server.url}/dashboard`,
      'dashboard-live.png',
      { ...SIZE, scheme: 'dark' },
      async (page) => {
        await page.locator('[data-range="60"]').click();
      },
    );
    await Promise.all(clients);
  } finally {
    await server.close();
  }
}

async function client(url: string, key: string, i: number, endMs: number): Promise<void> {
  for (let turn = 0; performance.now() < endMs; turn++) {
    const own = `${WORDS.slice(0, 600 * (i % 3))} ${i} ${turn} ${WORDS.slice(0, 300 + ((i * 617 + turn * 233) % 1900))}`;
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'llama-3.1-8b',
        prompt: own,
        max_tokens: 40 + ((i * 31 + turn * 17) % 120),
        stream: true,
      }),
    });
    await response.text();
    const wave = 1 + Math.sin(performance.now() / 8000);
    await new Promise((resolve) => setTimeout(resolve, 60 + 900 * wave * ((i % 5) / 5)));
  }
}

async function picture(
  browser: Browser,
  url: string,
  name: string,
  view: ViewOptions,
  prepare: (page: Page) => Promise<void> = async () => {},
): Promise<void> {
  const { page, problems } = await openPage(browser, url, view);
  await prepare(page);
  await page.waitForTimeout(2500);
  await page.screenshot({ path: join(IMAGES, name) });
  await page.context().close();
  process.stdout.write(`${name}: ${Math.round(statSync(join(IMAGES, name)).size / 1000)} kB ${problems.join(' ')}\n`);
}
