// Proves that tests can fail: takes one guard after the other out of a copy of the working tree and expects the test that
// is named in the patch to notice. Patches and their format: test/guards/README.md.
//
//   npm run test:guards              all patches
//   npm run test:guards -- clock     those whose name contains "clock"
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { judgePatches, type Verdict } from './guards/judge-patches.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

async function main(filter: string): Promise<number> {
  const startMs = performance.now();
  const verdicts = await judgePatches(ROOT, join(ROOT, 'test', 'guards'), filter);
  if (verdicts.length === 0) {
    console.error(`test:guards: no patch in test/guards matches "${filter}"`);
    return 1;
  }
  return report(verdicts, (performance.now() - startMs) / 1000);
}

function report(verdicts: readonly Verdict[], seconds: number): number {
  const table = new Table({
    head: ['guard taken out', 'test that must notice', 'result'],
    style: { head: [], border: [] },
  });
  for (const verdict of verdicts)
    table.push([verdict.patch, verdict.test, verdict.ok ? verdict.result : `! ${verdict.result}`]);
  console.log(table.toString());
  const failed = verdicts.filter((verdict) => !verdict.ok).length;
  console.log(`guards: ${verdicts.length - failed} passed, ${failed} failed, ${seconds.toFixed(0)} s`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv[2] ?? '');
