// Proves that tests can fail: takes one guard after the other out of a copy of the working tree and expects the test that
// is named in the patch to notice. Patches and their format: test/guards/README.md.
//
//   npm run test:guards              all patches
//   npm run test:guards -- clock     those whose name contains "clock"
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { type GuardPatch, parseGuardPatch } from './guards/guard-patch.ts';
import { type NamedTestsRun, runNamedTests } from './guards/run-named-tests.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PATCHES = join(ROOT, 'test', 'guards');
const COPIED = ['src', 'replay', 'scenarios', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
const CONCURRENCY = 2;
const UNPATCHED_TIMEOUT_MS = 300_000;
const PATCHED_TIMEOUT_MS = 60_000;

interface Verdict {
  readonly patch: string;
  readonly test: string;
  readonly ok: boolean;
  readonly result: string;
}

async function main(filter: string): Promise<number> {
  const names = readdirSync(PATCHES)
    .filter((file) => file.endsWith('.patch') && file.includes(filter))
    .map((file) => file.slice(0, -'.patch'.length))
    .sort();
  if (names.length === 0) {
    console.error(`test:guards: no patch in test/guards matches "${filter}"`);
    return 1;
  }
  const patches = names.map((name) => parseGuardPatch(name, readFileSync(join(PATCHES, `${name}.patch`), 'utf8')));
  const scratch = mkdtempSync(join(tmpdir(), 'twinfer-guards-'));
  try {
    const startMs = performance.now();
    const unpatched = await runUnpatched(patches, scratch);
    const verdicts: Verdict[] = [];
    const queue = [...patches];
    const work = async () => {
      for (let patch = queue.shift(); patch !== undefined; patch = queue.shift())
        verdicts.push(unpatchedProblem(patch, unpatched) ?? (await judge(patch, scratch)));
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
    return report(verdicts, (performance.now() - startMs) / 1000);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** One run for all named tests: they must pass while the guards are in place. */
function runUnpatched(patches: readonly GuardPatch[], scratch: string): Promise<NamedTestsRun> {
  const files = [...new Set(patches.map((patch) => patch.testFile))];
  const names = [...new Set(patches.map((patch) => patch.testName))];
  return runNamedTests(ROOT, files, names, join(scratch, 'unpatched.json'), UNPATCHED_TIMEOUT_MS);
}

function unpatchedProblem(patch: GuardPatch, run: NamedTestsRun): Verdict | null {
  const fail = (result: string) => ({ patch: patch.name, test: patch.testName, ok: false, result });
  if (run.timedOut) return fail('the unpatched tests did not end');
  const notLoaded = run.notLoaded.find((reason) => reason.startsWith(`${patch.testFile}:`));
  if (notLoaded !== undefined) return fail(`unpatched: ${notLoaded}`);
  const own = matching(patch, run);
  if (own.length === 0) return fail(`no such test in ${patch.testFile}`);
  if (own.some((test) => !test.passed)) return fail('fails without the patch, too');
  return null;
}

function matching(patch: GuardPatch, run: NamedTestsRun) {
  return run.outcomes.filter((test) => test.file === patch.testFile && test.fullName.includes(patch.testName));
}

async function judge(patch: GuardPatch, scratch: string): Promise<Verdict> {
  const verdict = (ok: boolean, result: string) => ({ patch: patch.name, test: patch.testName, ok, result });
  const tree = join(scratch, patch.name);
  for (const path of COPIED)
    if (existsSync(join(ROOT, path))) cpSync(join(ROOT, path), join(tree, path), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'), 'dir');
  try {
    const env = { ...process.env, GIT_CEILING_DIRECTORIES: scratch };
    execFileSync('git', ['apply', join(PATCHES, `${patch.name}.patch`)], { cwd: tree, env, stdio: 'pipe' });
  } catch (error) {
    return verdict(false, `does not apply: ${firstLine(error)}`);
  }
  const reportPath = join(scratch, `${patch.name}.json`);
  const run = await runNamedTests(tree, [patch.testFile], [patch.testName], reportPath, PATCHED_TIMEOUT_MS);
  rmSync(tree, { recursive: true, force: true });
  if (run.timedOut)
    return verdict(patch.hangs, patch.hangs ? 'caught: hangs' : `hangs (say "# expect: hang" if meant)`);
  if (run.notLoaded.length > 0) return verdict(false, `the patched source does not load: ${run.notLoaded[0]}`);
  const own = matching(patch, run);
  if (own.length === 0) return verdict(false, `the test did not run: ${run.output.trim().split('\n')[0] ?? ''}`);
  if (own.every((test) => test.passed)) return verdict(false, 'NOT CAUGHT: the test passes without the guard');
  return verdict(true, 'caught');
}

function firstLine(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
  return stderr.trim().split('\n')[0] ?? '';
}

function report(verdicts: readonly Verdict[], seconds: number): number {
  const table = new Table({
    head: ['guard taken out', 'test that must notice', 'result'],
    style: { head: [], border: [] },
  });
  const sorted = [...verdicts].sort((a, b) => (a.patch < b.patch ? -1 : 1));
  for (const verdict of sorted)
    table.push([verdict.patch, verdict.test, verdict.ok ? verdict.result : `! ${verdict.result}`]);
  console.log(table.toString());
  const failed = verdicts.filter((verdict) => !verdict.ok).length;
  console.log(`guards: ${verdicts.length - failed} passed, ${failed} failed, ${seconds.toFixed(0)} s`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv[2] ?? '');
