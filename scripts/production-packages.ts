import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import semver from 'semver';
import satisfies from 'spdx-satisfies';

/** A package of package-lock.json that a user of the server installs, optional ones for other platforms included. */
export interface ProductionPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression; null = the package does not say. */
  readonly licence: string | null;
  /** Range of versions of Node; null = the package does not say. */
  readonly node: string | null;
  readonly hasInstallScript: boolean;
  /** For some systems or processors only. */
  readonly ofPlatform: boolean;
  /** Where npm puts it, from the root of the tree. */
  readonly folder: string;
}

/** Licences that production packages may have: permissive, and compatible with Apache-2.0. */
const LICENCES = ['Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'Zlib'];

/** Install scripts that nothing depends on, with the reason. */
const INSTALL_SCRIPTS: ReadonlyMap<string, string> = new Map([
  ['protobufjs', 'prints a hint on versions; builds and downloads nothing'],
]);

interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly engines?: { readonly node?: string };
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly resolved?: string;
  readonly integrity?: string;
  readonly devDependencies?: object;
}

export interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

export function readLockfile(root: string): Lockfile {
  return JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lockfile;
}

/** The lockfile as it is without development packages. */
export function productionLockfile(lockfile: Lockfile): Lockfile {
  const kept = new Set(productionPackages(lockfile).map(({ folder }) => folder));
  const { devDependencies: _, ...root } = lockfile.packages['']!;
  const packages = Object.entries(lockfile.packages).filter(([folder]) => kept.has(folder));
  return { ...lockfile, packages: { '': root, ...Object.fromEntries(packages) } };
}

export function productionPackages({ packages }: Lockfile): ProductionPackage[] {
  return Object.entries(packages)
    .filter(([folder, { dev, devOptional }]) => folder !== '' && dev !== true && devOptional !== true)
    .map(([folder, { version, license, engines, hasInstallScript, os, cpu }]) => ({
      name: folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license ?? null,
      node: engines?.node ?? null,
      hasInstallScript: hasInstallScript === true,
      ofPlatform: os !== undefined || cpu !== undefined,
      folder,
    }))
    .sort((a, b) => (a.name === b.name ? semver.compare(a.version, b.version) : a.name < b.name ? -1 : 1));
}

/** What is wrong with one package, a line each. `node`: the range that the server itself supports. */
export function packageProblems(one: ProductionPackage, node: string): string[] {
  const problems: string[] = [];
  const report = (text: string) => problems.push(`${one.name} ${one.version}: ${text}`);
  if (!isAllowed(one.licence)) report(`licence ${one.licence ?? 'unknown'}; expected: ${LICENCES.join(', ')}`);
  if (one.node !== null && !semver.subset(node, one.node))
    report(`wants Node ${one.node}; expected: all of ${node}, the engines of package.json`);
  if (one.hasInstallScript && !INSTALL_SCRIPTS.has(one.name))
    report('has an install script; expected: none (if it is not needed, say why in scripts/production-packages.ts)');
  return problems;
}

/** What is wrong with the lockfile itself, development packages included. */
export function lockfileProblems({ packages }: Lockfile): string[] {
  return Object.entries(packages).flatMap(([folder, { resolved, integrity }]) => {
    if (folder === '') return [];
    const host = resolved === undefined ? [] : [`${folder}: resolved ${resolved}; expected: no address of a registry`];
    return integrity === undefined ? [...host, `${folder}: no integrity; expected: a hash`] : host;
  });
}

/** What the installed package says of its licence, where it is installed and differs from the lockfile. */
export function installedProblems(one: ProductionPackage, root: string): string[] {
  const manifest = join(root, one.folder, 'package.json');
  if (!existsSync(manifest)) return [];
  const { license } = JSON.parse(readFileSync(manifest, 'utf8')) as { license?: string };
  return license === (one.licence ?? undefined)
    ? []
    : [`${one.name} ${one.version}: licence ${license} as installed, ${one.licence} in the lockfile`];
}

function isAllowed(licence: string | null): boolean {
  try {
    return licence !== null && satisfies(licence, LICENCES);
  } catch {
    // Not an SPDX expression.
    return false;
  }
}

const NOTICE_HEAD = `Twinfer
Licensed under the Apache License, Version 2.0 (see LICENSE).

At run time the server uses the packages below. npm installs each with the text of its licence. The code of uPlot is also copied
into the dashboard and into the reports of runs. Written by \`npm run licences -- --write\`.
`;

/** The text of NOTICE. Packages of a platform are named without their copyright, so that the file is the same on all of them. */
export function noticeText(packages: readonly ProductionPackage[], root: string): string {
  const entries = packages.map((one) => {
    const copyrights = one.ofPlatform ? [] : copyrightLines(join(root, one.folder));
    return [`${one.name} ${one.version} (${one.licence})`, ...copyrights.map((line) => `  ${line}`)].join('\n');
  });
  return `${NOTICE_HEAD}\n${entries.join('\n')}\n`;
}

function copyrightLines(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const file = readdirSync(folder)
    .sort()
    .find((name) => /^(licen[cs]e|copying)/i.test(name));
  if (file === undefined) return [];
  const lines = readFileSync(join(folder, file), 'utf8').split('\n');
  const own = lines
    .map((line) => line.replace(/^[\s*-]+/, '').trim())
    .filter((line) => /^copyright\b/i.test(line))
    .filter((line) => !/^copyright (and related|owner|holders?|license|notice|statement|law|\[)/i.test(line));
  return [...new Set(own)];
}
