import { isAbsolute, join } from 'node:path';

/** A path that a scenario names, which is relative to the scenario's file. */
export function beside(scenario: { readonly directory: string }, path: string): string {
  return isAbsolute(path) ? path : join(scenario.directory, path);
}
