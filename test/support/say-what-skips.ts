import { CHROMIUM } from './browser.ts';
import { MISSING_TOOLS } from './prometheus-tools.ts';

/** Folders that tests read from outside the repository: variable, and what skips without it. */
const FOLDERS = [
  ['TWINFER_DATA', 'tests on the public traces skip'],
  ['TWINFER_CONFORMANCE', "tests against vLLM's recorded schedules skip"],
  ['TWINFER_MODELS', "tests on a real model's tokenizer skip unless ../shared/models is there"],
] as const;

/** One line for each folder that is not named and each program that is not here: the reporter counts skipped tests, but does not say why. */
export function skipNotices(
  environment: Readonly<Record<string, string | undefined>>,
  missingTools: readonly string[] = [],
): string[] {
  const folders = FOLDERS.filter(([name]) => (environment[name] ?? '') === '').map(
    ([name, consequence]) => `${name} is not set: ${consequence}`,
  );
  const tools = missingTools.map((tool) => `${tool} is not installed: tests that compare with Prometheus skip`);
  return [...folders, ...tools];
}

/** Vitest calls this once, before all tests. */
export function setup(): void {
  for (const line of skipNotices(process.env, MISSING_TOOLS)) process.stdout.write(`${line}\n`);
  if (CHROMIUM === null) process.stdout.write('chromium is not installed: tests of the dashboard in a browser skip\n');
}
