// Makes what a release consists of: the package as npm packs it, and the bill of materials of the lockfile
// (CycloneDX). dist/ must be built. `.github/workflows/release.yml` runs it.
//
//   npm run release -- FOLDER
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { productionLockfile, readLockfile } from './production-packages.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly devDependencies?: object;
}

function main(folder: string | undefined): number {
  if (folder === undefined) {
    console.error('release: expected: a folder for the package and its bill of materials');
    return 2;
  }
  if (!existsSync(join(ROOT, 'dist/src/cli/main.js'))) {
    console.error('release: dist/ is not built; expected: npm run build');
    return 1;
  }
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  const { name, version } = manifest;
  const scratch = mkdtempSync(join(tmpdir(), 'twinfer-release-'));
  try {
    const out = resolve(folder);
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, `${name}-${version}.cdx.json`), billOfMaterials(scratch, manifest));
    npm(ROOT, 'pack', '--ignore-scripts', '--pack-destination', out);
    console.log(`${join(out, `${name}-${version}.tgz`)}\n${join(out, `${name}-${version}.cdx.json`)}`);
    return 0;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * CycloneDX, from a tree that has no development packages: `npm sbom --omit=dev` leaves out what production and development have in
 * common (npm 10 and 11).
 */
function billOfMaterials(scratch: string, { devDependencies: _, ...manifest }: Manifest): string {
  // npm names the bill after the folder.
  const tree = join(scratch, manifest.name);
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(tree, 'package-lock.json'), JSON.stringify(productionLockfile(readLockfile(ROOT))));
  return npm(tree, 'sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only');
}

function npm(cwd: string, ...args: readonly string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'pipe'] });
}

process.exitCode = main(process.argv[2]);
