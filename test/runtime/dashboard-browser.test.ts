import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PANELS } from '../../src/observability/dashboard/panels.ts';
import { TILES } from '../../src/observability/dashboard/tiles.ts';
import { writeRecording } from '../../src/runtime/metrics-recording.ts';
import { OutputFiles } from '../../src/runtime/output-files.ts';
import { capturedCli } from '../cli/captured-cli.ts';
import { dashboardRun } from '../observability/dashboard/dashboard-run.ts';
import { hasBrowser, launchBrowser, openPage, type ViewOptions } from '../support/browser.ts';
import { drawnPixels, faintTexts, overflow, unnamedParts, writtenValues } from '../support/page-probes.js';
import { ALWAYS_DRAFTS } from '../support/speculation.ts';
import { startTestServer, type TestServer } from '../support/test-server.ts';
import { eventually } from '../support/until.ts';
import { scratch } from './scenarios.ts';

const folder = scratch();
const here = hasBrowser();
let browser: Browser;

beforeAll(async () => {
  if (here) browser = await launchBrowser();
});
afterAll(async () => {
  if (here) await browser.close();
});

const VIEWS: readonly Required<Omit<ViewOptions, 'height'>>[] = [
  { width: 1280, scheme: 'light' },
  { width: 1280, scheme: 'dark' },
  { width: 390, scheme: 'light' },
  { width: 390, scheme: 'dark' },
];

describe.skipIf(!here)('the dashboard of a simulated run', () => {
  const file = join(folder, 'run.html');
  const url = pathToFileURL(file).href;

  beforeAll(async () => {
    const recording = join(folder, 'run.jsonl.gz');
    const files = new OutputFiles();
    writeRecording(files.create('--metrics', recording), await dashboardRun());
    files.commit();
    const { code, stdout } = await capturedCli(['dashboard', recording, '--out', file]);
    expect([code, stdout]).toEqual([0, `${file}\n`]);
  });

  it.each(VIEWS)('has something in every panel, $width wide and $scheme', async (view) => {
    const { page, problems, requests } = await openPage(browser, url, { ...view, height: 6000 });
    await eventually(async () => {
      const drawn = await drawnPixels(page);
      expect(Object.entries(drawn).filter(([, pixels]) => pixels < 20)).toEqual([]);
    });
    const shown = Object.keys(await drawnPixels(page));
    expect(shown).toEqual(expect.arrayContaining(PANELS.filter((panel) => !panel.liveOnly).map(({ id }) => id)));
    const values = await writtenValues(page);
    for (const { id } of TILES) expect(values[`tile-${id}`]).toMatch(/\d|up/);
    for (const id of shown) expect(values[`panel-${id}`]).toMatch(/\d/);
    expect(await overflow(page)).toBe(0);
    expect(await faintTexts(page)).toEqual([]);
    expect([problems, requests]).toEqual([[], []]);
    await page.context().close();
  });

  it('can be read without eyes and without a mouse', async () => {
    const { page, problems } = await openPage(browser, url);
    expect(await unnamedParts(page)).toEqual([]);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the figures');
    await page.locator('#panel-itl .plot').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    const said = page.locator('#announce');
    await eventually(async () => expect(await said.textContent()).toMatch(/^0:00:0\d: p50 .* ms, p99 .* ms$/));
    expect(await page.locator('#clock').textContent()).toMatch(/^0:00:0\d$/);
    await page.keyboard.press('Tab');
    expect(await page.locator('#clock').textContent()).toBe('');
    await page.locator('#panel-kv .info button').focus();
    const help = page.locator('#panel-kv-help');
    await eventually(async () => expect(await help.isVisible()).toBe(true));
    expect(await help.textContent()).toContain('kv_cache_utilization_ratio');
    expect(await help.textContent()).toContain('critical above 98 %');
    await page.keyboard.press('Escape');
    await eventually(async () => expect(await help.isVisible()).toBe(false));
    expect(problems).toEqual([]);
    await page.context().close();
  });

  it('is a set of tables on demand, with what the charts show', async () => {
    const { page, problems } = await openPage(browser, url, { width: 390 });
    await page.locator('#tables').click();
    await eventually(async () => {
      const rows = await page.locator('#panel-queues .table tbody tr').count();
      expect(rows).toBeGreaterThan(8);
    });
    expect(await page.locator('#panel-queues thead').textContent()).toBe('timewaitingrunningswapped');
    expect(await page.locator('.panel:not([hidden]) .plot:visible').count()).toBe(0);
    expect(await overflow(page)).toBe(0);
    await page.locator('#tables').click();
    await eventually(async () => expect((await drawnPixels(page))['ttft']).toBeGreaterThan(20));
    expect(problems).toEqual([]);
    await page.context().close();
  });

  it('zooms all charts together, and back; changes its colours', async () => {
    const { page, problems } = await openPage(browser, url);
    const plot = page.locator('#panel-itl .plot');
    const box = (await plot.boundingBox())!;
    await page.mouse.move(box.x + 200, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + 300, box.y + 60, { steps: 4 });
    await page.mouse.up();
    const zoomed = () => page.evaluate('document.documentElement.dataset.zoomed');
    await eventually(async () => expect(await zoomed()).toBe('true'));
    await page.mouse.dblclick(box.x + 250, box.y + 60);
    await eventually(async () => expect(await zoomed()).toBe('false'));
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const light = await background();
    await page.locator('#theme').click();
    expect(await background()).toBe(light);
    await page.locator('#theme').click();
    expect(await background()).not.toBe(light);
    expect(problems).toEqual([]);
    await page.context().close();
  });

  it('does nothing where its policy does not know the script', async () => {
    const spoiled = join(folder, 'spoiled.html');
    writeFileSync(
      spoiled,
      readFileSync(file, 'utf8').replace('<main', '<script>document.title = "taken"</script><main'),
    );
    const { page, problems } = await openPage(browser, pathToFileURL(spoiled).href);
    expect(await page.title()).not.toBe('taken');
    expect(problems.some((problem) => problem.includes('Content Security Policy'))).toBe(true);
    await page.context().close();
  });
});

describe.skipIf(!here)('the dashboard of a server', () => {
  let server: TestServer;
  const recording = join(folder, 'served.jsonl');
  let busy = true;
  const clients: Promise<void>[] = [];

  beforeAll(async () => {
    const record = { file: recording, intervalSeconds: 1, bytesMax: 2 ** 30 };
    server = await startTestServer({
      timeScale: 1,
      tokenizerThreads: 1,
      record,
      engine: { speculation: ALWAYS_DRAFTS },
    });
    for (let i = 0; i < 6; i++) clients.push(client(i));
  });
  afterAll(async () => {
    busy = false;
    await Promise.all(clients);
    await server.close();
  });

  async function client(i: number): Promise<void> {
    for (let turn = 0; busy; turn++) {
      const prompt = `${'a question that many ask. '.repeat(20)}${i} ${turn}`;
      const response = await fetch(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'twin', prompt, max_tokens: 60, stream: i % 2 === 0 }),
      });
      await response.text();
    }
  }

  it.each(VIEWS.slice(1, 3))('draws every panel while requests come, $width wide and $scheme', async (view) => {
    const url = `${server.url}/dashboard`;
    const { page, problems, requests } = await openPage(browser, url, { ...view, height: 6000 });
    await page.locator('[data-range="60"]').click();
    await eventually(async () => {
      const drawn = await drawnPixels(page);
      expect(Object.keys(drawn)).toEqual(PANELS.map(({ id }) => id));
      expect(Object.entries(drawn).filter(([, pixels]) => pixels < 4)).toEqual([]);
    });
    const values = await writtenValues(page);
    for (const { id } of TILES) expect(values[`tile-${id}`]).toMatch(/\d|up/);
    expect(await page.locator('#connection-text').textContent()).toBe('live');
    await eventually(async () => expect(await page.locator('#alerts-summary').textContent()).toMatch(/\d+ rules/));
    expect(await unnamedParts(page)).toEqual([]);
    expect(await faintTexts(page)).toEqual([]);
    expect(await overflow(page)).toBe(0);
    expect([problems, requests]).toEqual([[], [`${server.url}/dashboard/stream`]]);
    await page.context().close();
  });

  it('is there again from what the server has recorded, the gateway included', async () => {
    const file = join(folder, 'served.html');
    const { code } = await capturedCli(['dashboard', recording, '--out', file]);
    expect(code).toBe(0);
    const { page, problems, requests } = await openPage(browser, pathToFileURL(file).href, { height: 6000 });
    await eventually(async () => {
      const drawn = await drawnPixels(page);
      expect(Object.keys(drawn)).toEqual(expect.arrayContaining(['client-ttft', 'event-loop', 'event-loop-delay']));
      expect(Object.entries(drawn).filter(([, pixels]) => pixels < 4)).toEqual([]);
    });
    expect(await page.locator('#connection-text').textContent()).toBe('whole run');
    expect([problems, requests]).toEqual([[], []]);
    await page.context().close();
  });

  it('holds still while it is paused, and catches up', async () => {
    const { page } = await openPage(browser, `${server.url}/dashboard`);
    const clock = page.locator('#clock');
    await eventually(async () => expect(await clock.textContent()).toMatch(/\d/));
    await page.locator('#pause').click();
    const held = await clock.textContent();
    const received = page.waitForEvent('console', { predicate: (message) => message.text() === 'another frame' });
    await page.evaluate(`{
      let count = 0;
      new EventSource('dashboard/stream').addEventListener('frame', () => {
        if (++count === 2) console.log('another frame');
      });
    }`);
    await received;
    expect(await clock.textContent()).toBe(held);
    await page.locator('#pause').click();
    await eventually(async () => expect(await clock.textContent()).not.toBe(held));
    await page.context().close();
  });
});
