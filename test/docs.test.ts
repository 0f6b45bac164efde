import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveJsonSchemaText, serveSchema } from '../src/config/serve-schema.ts';
import { headingAnchors, linksOf, runnableCommands, testReferences } from './support/markdown.ts';
import { REPOSITORY_ROOT, readRepositoryFile, repositoryFiles } from './support/repository-files.ts';

const files = repositoryFiles();
const documents = files.filter((path) => path.endsWith('.md'));

describe('links', () => {
  it.each(documents)('%s: each leads to a file, and to a heading where one is named', (document) => {
    const broken = linksOf(readRepositoryFile(document)).filter((link) => {
      if (/^[a-z]+:/.test(link)) return false;
      const [path, anchor] = link.split('#') as [string, string | undefined];
      const target = path === '' ? document : posix.normalize(posix.join(posix.dirname(document), path));
      if (!existsSync(join(REPOSITORY_ROOT, target))) return true;
      return anchor !== undefined && !headingAnchors(readRepositoryFile(target)).includes(anchor);
    });
    expect(broken).toEqual([]);
  });
});

describe('INVARIANTS.md', () => {
  it('names only tests that exist', () => {
    const missing = testReferences(readRepositoryFile('INVARIANTS.md')).filter(
      ({ file, name }) => !files.includes(file) || !readRepositoryFile(file).includes(name),
    );
    expect(missing).toEqual([]);
  });

  it('names only sources that exist', () => {
    const sources = [...readRepositoryFile('INVARIANTS.md').matchAll(/`((?:src|test)\/[\w./-]*)`/g)].map((m) => m[1]!);
    expect(sources.filter((path) => !existsSync(join(REPOSITORY_ROOT, path)))).toEqual([]);
  });

  it('quotes laws in the words of the source', () => {
    const core = files.filter((path) => /^src\/core\/.*\.ts$/.test(path)).map(readRepositoryFile);
    const laws = [...readRepositoryFile('INVARIANTS.md').matchAll(/^\| [A-Z]\d+: [^|]*\| `([^`|]+)` \|/gm)].map(
      (m) => m[1]!,
    );
    expect(laws.length).toBeGreaterThan(10);
    expect(laws.filter((law) => !core.some((text) => text.includes(`'${law}'`)))).toEqual([]);
  });
});

describe('SECURITY.md', () => {
  const rows = [...readRepositoryFile('SECURITY.md').matchAll(/^\| `([\w.]+)` \| (\S+) \|/gm)].map(
    ([, option, text]) => [option!, text!] as const,
  );
  const defaults = serveSchema.parse({}) as Record<string, unknown>;

  it.each(rows)('%s is %s by default', (option, text) => {
    const value = option
      .split('.')
      .reduce<unknown>((section, name) => (section as Record<string, unknown>)[name], defaults);
    expect(text).toBe(value === undefined ? 'none' : String(value));
  });

  it('has every limit of the configuration', () => {
    const limits = ['limits', 'request', 'limits.per_key'].flatMap((path) =>
      fieldsOf(path).map((name) => `${path}.${name}`),
    );
    const listed = new Set(rows.map(([option]) => option));
    expect(limits.length).toBeGreaterThan(25);
    const sections = new Set(['limits.per_key', 'limits.expected_request']);
    expect(limits.filter((option) => !listed.has(option) && !sections.has(option))).toEqual([]);
  });

  /** Names in a section of the published schema. */
  function fieldsOf(path: string): string[] {
    let section = JSON.parse(serveJsonSchemaText()) as { properties: Record<string, typeof section> };
    for (const name of path.split('.')) section = section.properties[name]!;
    return Object.keys(section.properties);
  }
});

describe('README.md', () => {
  const readme = readRepositoryFile('README.md');
  const scripts = (JSON.parse(readRepositoryFile('package.json')) as { scripts: Record<string, string> }).scripts;
  let folder = '';

  /** A folder that looks like the repository, so that what commands write does not end up in it. */
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinfer-docs-'));
    for (const entry of readdirSync(REPOSITORY_ROOT))
      if (!['out', 'coverage'].includes(entry)) symlinkSync(join(REPOSITORY_ROOT, entry), join(folder, entry));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('gives one command to run and one to test', () => {
    expect(readme).toContain('```sh\nnpm ci && npm start\n```');
    expect(readme).toContain('```sh\nnpm ci && npm test\n```');
  });

  it('names only npm scripts that exist', () => {
    const named = [...readme.matchAll(/npm run ([\w:]+)/g)].map((match) => match[1]!);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  it('npm start is the server, which .ci/serve-smoke.sh starts, asks and ends', () => {
    expect(scripts['start']).toBe('node dist/src/cli/main.js serve');
    expect(readRepositoryFile('.ci/serve-smoke.sh')).toContain('npm start');
    expect(readRepositoryFile('.ci/run')).toContain('.ci/serve-smoke.sh');
  });

  it.each(runnableCommands(readme))('%s', (command) => {
    expect(run(command)).not.toBe('');
  });

  /** From the source, not from dist/: a stale build must neither hide an error nor make one. */
  function run(command: string): string {
    const words = command.split(' ').slice(2);
    const tsx = join(REPOSITORY_ROOT, 'node_modules/tsx/dist/cli.mjs');
    return execFileSync(process.execPath, [tsx, join(REPOSITORY_ROOT, 'src/cli/main.ts'), ...words], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }
});
