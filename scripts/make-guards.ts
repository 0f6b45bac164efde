// Makes test/guards/*.patch anew from the tables of guards in scripts/guards, after the source has moved.
//
//   npx tsx scripts/make-guards.ts
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MEMORY_REMOVALS } from './guards/memory-removals.ts';
import { type Removal, removals } from './guards/removal.ts';
import { SEQUENCE_REMOVALS } from './guards/sequence-removals.ts';

const REMOVALS = removals([...MEMORY_REMOVALS, ...SEQUENCE_REMOVALS]);
const ROOT = fileURLToPath(new URL('..', import.meta.url));

function main(): number {
  const scratch = mkdtempSync(join(tmpdir(), 'twinfer-make-guards-'));
  let failed = 0;
  try {
    for (const removal of REMOVALS) {
      const path = join('src', 'core', removal.source);
      const source = readFileSync(join(ROOT, path), 'utf8');
      const found = source.split(removal.guard).length - 1;
      if (found !== 1) {
        console.error(`${removal.name}: the guard occurs ${found} times in ${path}; exactly 1 is allowed`);
        failed++;
        continue;
      }
      const without = join(scratch, 'without.ts');
      writeFileSync(
        without,
        source.replace(removal.guard, () => removal.without),
      );
      writeFileSync(join(ROOT, 'test', 'guards', `${removal.name}.patch`), header(removal) + difference(path, without));
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  console.log(`${REMOVALS.length - failed} of ${REMOVALS.length} patches made`);
  return failed === 0 ? 0 : 1;
}

function header({ lost, testFile, test }: Removal): string {
  return `# guard: ${lost}\n# file: ${testFile}\n# test: ${test}\n`;
}

/** One line of context, so that a patch survives edits nearby. */
function difference(path: string, without: string): string {
  const labels = ['--label', `a/${path}`, '--label', `b/${path}`];
  const { status, stdout, stderr } = spawnSync('diff', ['-U1', ...labels, join(ROOT, path), without], {
    encoding: 'utf8',
  });
  // diff answers 1 when the files differ.
  if (status !== 1) throw new Error(`diff ${path}: status ${status} ${stderr}`);
  return stdout;
}

process.exitCode = main();
