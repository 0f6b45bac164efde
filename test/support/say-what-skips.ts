/** Folders that tests read from outside the repository: variable, and what skips without it. */
const FOLDERS = [
  ['TWINFER_DATA', 'tests on the public traces skip'],
  ['TWINFER_CONFORMANCE', "tests against vLLM's recorded schedules skip"],
  ['TWINFER_MODELS', "tests on a real model's tokenizer skip unless ../shared/models is there"],
] as const;

/** One line for each folder that is not named: the reporter counts skipped tests, but does not say why they skip. */
export function skipNotices(environment: Readonly<Record<string, string | undefined>>): string[] {
  return FOLDERS.filter(([name]) => (environment[name] ?? '') === '').map(
    ([name, consequence]) => `${name} is not set: ${consequence}`,
  );
}

/** Vitest calls this once, before all tests. */
export function setup(): void {
  for (const line of skipNotices(process.env)) process.stdout.write(`${line}\n`);
}
