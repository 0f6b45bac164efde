import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY_ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Never part of the repository; needed only where git is not there to say so (an unpacked archive, a copied tree). */
const IGNORED = new Set(['node_modules', 'dist', 'coverage', 'out', '.git']);

/** Paths of all files of the repository, from its root, with forward slashes: tracked, and new ones that git does not ignore. */
export function repositoryFiles(): string[] {
  if (existsSync(join(REPOSITORY_ROOT, '.git'))) {
    const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const listed = execFileSync('git', args, { cwd: REPOSITORY_ROOT, encoding: 'utf8', maxBuffer: 1 << 26 });
    const paths = listed.split('\0').filter((path) => path !== '' && existsSync(join(REPOSITORY_ROOT, path)));
    return [...new Set(paths)].sort();
  }
  const found: string[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (IGNORED.has(entry.name)) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) found.push(relative(REPOSITORY_ROOT, path).split(sep).join('/'));
    }
  };
  walk(REPOSITORY_ROOT);
  return found.sort();
}

export function readRepositoryFile(path: string): string {
  return readFileSync(join(REPOSITORY_ROOT, path), 'utf8');
}
