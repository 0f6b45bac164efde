import { existsSync, readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { ScenarioError } from '../config/scenario-error.ts';
import { packageFolder } from '../runtime/package-folder.ts';

/** Scenarios that come with Twinfer: name without extension, and path. Sorted by name. */
export function bundledScenarios(): { readonly name: string; readonly path: string }[] {
  const folder = join(packageFolder(), 'scenarios');
  return readdirSync(folder)
    .filter((file) => extname(file) === '.yaml')
    .sort()
    .map((file) => ({ name: file.slice(0, -'.yaml'.length), path: join(folder, file) }));
}

/**
 * A path as it is; or, when no such file exists, the bundled scenario of that name. Throws ScenarioError for a bare word that
 * is neither.
 */
export function scenarioPath(nameOrPath: string): string {
  if (existsSync(nameOrPath)) return nameOrPath;
  const bundled = bundledScenarios();
  const found = bundled.find((scenario) => scenario.name === nameOrPath);
  if (found !== undefined) return found.path;
  if (nameOrPath.includes('/') || /\.ya?ml$/.test(nameOrPath)) return nameOrPath;
  const names = bundled.map((scenario) => scenario.name).join(', ');
  const message = `no such file; allowed: path of a scenario (YAML), or one of ${names}`;
  throw new ScenarioError(nameOrPath, [{ line: 0, column: 0, path: '', message }]);
}
