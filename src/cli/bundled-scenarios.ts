import { existsSync, readdirSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the package: the nearest one above this file with a package.json (sources and build lie at different depths). */
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json of twinfer not found above the command line');
    folder = parent;
  }
  return folder;
}

/** Scenarios that come with Twinfer: name without extension, and path. Sorted by name. */
export function bundledScenarios(): { readonly name: string; readonly path: string }[] {
  const folder = join(packageFolder(), 'scenarios');
  return readdirSync(folder)
    .filter((file) => extname(file) === '.yaml')
    .sort()
    .map((file) => ({ name: file.slice(0, -'.yaml'.length), path: join(folder, file) }));
}

/** A path as it is; or, when no such file exists, the bundled scenario of that name. */
export function scenarioPath(nameOrPath: string): string {
  if (existsSync(nameOrPath)) return nameOrPath;
  return bundledScenarios().find((scenario) => scenario.name === nameOrPath)?.path ?? nameOrPath;
}
