import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where a Chromium is; null = nowhere. */
export const CHROMIUM: string | null = PLACES.find((path) => existsSync(path)) ?? null;

/** As `hasPrometheus`: in CI it must be here. */
export function hasBrowser(): boolean {
  if (CHROMIUM === null && process.env['CI'] !== undefined) {
    throw new Error('chromium not found: apt-get install --no-install-recommends chromium fonts-dejavu-core');
  }
  return CHROMIUM !== null;
}

/** Headless, with the sandbox off: tests run as root in containers, and open only pages of this repository. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'], timeout: 0 });
}

export interface ViewOptions {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
}

export interface OpenedPage {
  readonly page: Page;
  /** Errors and warnings of the console, exceptions, requests that failed, violations of the policy. */
  readonly problems: string[];
  /** Addresses that were asked for, but those of the page itself. */
  readonly requests: string[];
}

/** Opens an address and notes everything that goes wrong on it. */
export async function openPage(browser: Browser, url: string, options: ViewOptions = {}): Promise<OpenedPage> {
  const { width = 1280, height = 900, scheme = 'light' } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(0);
  const problems: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    if (request.url() !== url && !request.url().startsWith('data:')) requests.push(request.url());
  });
  await page.goto(url);
  return { page, problems, requests };
}
