import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { productionPackages, readLockfile } from '../../scripts/production-packages.ts';
import { REPOSITORY_ROOT, readRepositoryFile } from '../support/repository-files.ts';

interface Bill {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly name: string; readonly version: string; readonly type: string } };
  readonly components: readonly {
    readonly name: string;
    readonly version: string;
    readonly licenses?: readonly unknown[];
    readonly hashes?: readonly unknown[];
  }[];
}

const { name, version, files } = JSON.parse(readRepositoryFile('package.json')) as {
  name: string;
  version: string;
  files: string[];
};

describe('a release', () => {
  const folder = mkdtempSync(join(tmpdir(), 'twinfer-release-test-'));
  const tarball = join(folder, `${name}-${version}.tgz`);
  beforeAll(() => {
    const script = join(REPOSITORY_ROOT, 'scripts/release.ts');
    execFileSync(process.execPath, ['--import', 'tsx', script, folder], { cwd: REPOSITORY_ROOT, stdio: 'pipe' });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is a package and its bill of materials', () => {
    expect(readdirSync(folder).sort()).toEqual([`${name}-${version}.cdx.json`, `${name}-${version}.tgz`]);
  });

  it('has every production package in the bill, with licence and hash, and nothing for development', () => {
    const bill = JSON.parse(readFileSync(join(folder, `${name}-${version}.cdx.json`), 'utf8')) as Bill;
    expect(bill.bomFormat).toBe('CycloneDX');
    expect(bill.metadata.component).toMatchObject({ name, version, type: 'application' });
    const locked = productionPackages(readLockfile(REPOSITORY_ROOT));
    const nameOf = (one: { name: string; version: string }) => `${one.name} ${one.version}`;
    const listed = new Set(bill.components.map(nameOf));
    expect(locked.filter((one) => !one.ofPlatform && !listed.has(nameOf(one))).map(nameOf)).toEqual([]);
    const known = new Set(locked.map(nameOf));
    expect([...listed].filter((each) => !known.has(each))).toEqual([]);
    for (const { licenses = [], hashes = [] } of bill.components) {
      expect(licenses.length).toBeGreaterThan(0);
      expect(hashes.length).toBeGreaterThan(0);
    }
  });

  it('packs what package.json names, and neither sources nor tests', () => {
    const packed = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n');
    const within = (path: string) =>
      packed.some((entry) => entry === `package/${path}` || entry.startsWith(`package/${path}/`));
    for (const path of [...files, 'package.json', 'README.md', 'LICENSE'])
      expect([path, within(path)]).toEqual([path, true]);
    expect(within('dist/src/cli/main.js')).toBe(true);
    expect(packed.filter((entry) => /^package\/(src|test|bench|scripts|node_modules|\.)/.test(entry))).toEqual([]);
  });
});

describe('the release workflow', () => {
  const workflow = readRepositoryFile('.github/workflows/release.yml');

  it('runs all checks, looks for known vulnerabilities, and releases what the script makes', () => {
    const order = ['.ci/run', 'npm audit --omit=dev', 'npm run release --', 'gh release create'].map((step) =>
      workflow.indexOf(step),
    );
    expect(Math.min(...order)).toBeGreaterThan(0);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });
});

describe('.ci/run', () => {
  const ci = readRepositoryFile('.ci/run');

  it('installs without scripts, and as users do', () => {
    expect(ci).toContain("bash -c 'npm ci --ignore-scripts && npm run build'");
    expect(ci).toContain("check 'npm ci' npm ci\n");
  });
});
