import { describe, expect, it } from 'vitest';
import {
  installedProblems,
  type Lockfile,
  lockfileProblems,
  noticeText,
  type ProductionPackage,
  packageProblems,
  productionPackages,
  readLockfile,
} from '../../scripts/production-packages.ts';
import { REPOSITORY_ROOT, readRepositoryFile } from '../support/repository-files.ts';

const { engines } = JSON.parse(readRepositoryFile('package.json')) as { engines: { node: string } };
const lockfile = readLockfile(REPOSITORY_ROOT);
const packages = productionPackages(lockfile);

describe('the production packages', () => {
  it('have licences that are allowed, run on every Node that the server supports, and need no install script', () => {
    expect(packages.length).toBeGreaterThan(100);
    expect(packages.flatMap((one) => packageProblems(one, engines.node))).toEqual([]);
    expect(packages.flatMap((one) => installedProblems(one, REPOSITORY_ROOT))).toEqual([]);
    expect(lockfileProblems(lockfile)).toEqual([]);
  });

  it('are in NOTICE, and no others', () => {
    expect(readRepositoryFile('NOTICE')).toBe(noticeText(packages, REPOSITORY_ROOT));
  });
});

const WELL: ProductionPackage = {
  name: 'a',
  version: '1.0.0',
  licence: 'MIT',
  node: null,
  hasInstallScript: false,
  ofPlatform: false,
  folder: 'node_modules/a',
};

describe('a package', () => {
  it.each<[string, Partial<ProductionPackage>]>([
    ['a licence', {}],
    ['all of several licences', { licence: '(MIT AND Zlib)' }],
    ['one of two licences', { licence: '(GPL-3.0-only OR MIT)' }],
    ['old versions of Node', { node: '10.* || >= 12.*' }],
    ['a script that is known to be needless', { name: 'protobufjs', hasInstallScript: true }],
  ])('passes with %s', (_what, changes) => {
    expect(packageProblems({ ...WELL, ...changes }, '>=20.19')).toEqual([]);
  });

  it.each<[string, Partial<ProductionPackage>, RegExp]>([
    [
      'a licence that is not allowed',
      { licence: 'GPL-3.0-only' },
      /^a 1\.0\.0: licence GPL-3\.0-only; expected: Apache/,
    ],
    ['one of several licences that is not', { licence: '(MIT AND GPL-3.0-only)' }, /licence \(MIT AND GPL/],
    ['no licence', { licence: null }, /licence unknown/],
    ['no SPDX expression', { licence: 'SEE LICENSE IN FILE' }, /licence SEE LICENSE/],
    ['a newer Node', { node: '>=22' }, /wants Node >=22; expected: all of >=20\.19/],
    ['a gap among the versions of Node', { node: '^20.19.0 || >=24' }, /wants Node/],
    ['an install script', { hasInstallScript: true }, /has an install script/],
  ])('is refused with %s', (_what, changes, problem) => {
    expect(packageProblems({ ...WELL, ...changes }, '>=20.19')).toEqual([expect.stringMatching(problem)]);
  });
});

describe('a lockfile', () => {
  const entry = { version: '1.0.0', integrity: 'sha512-x' };
  const locked = (more: object): Lockfile => ({
    packages: { '': { version: '0' }, 'node_modules/a': { ...entry, ...more } },
  });

  it('has no addresses of registries and a hash for each package', () => {
    expect(lockfileProblems(locked({}))).toEqual([]);
    expect(lockfileProblems(locked({ resolved: 'https://example.com/a.tgz' }))[0]).toContain(
      'no address of a registry',
    );
    expect(lockfileProblems(locked({ integrity: undefined }))[0]).toContain('no integrity');
  });

  it('of production packages has neither itself nor what is for development', () => {
    expect(productionPackages(locked({})).map(({ name }) => name)).toEqual(['a']);
    expect(productionPackages(locked({ dev: true }))).toEqual([]);
    expect(productionPackages(locked({ devOptional: true }))).toEqual([]);
  });
});
