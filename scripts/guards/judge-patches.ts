import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GuardPatch, GuardPatchError, parseGuardPatch } from './guard-patch.ts';
import { type NamedTestsRun, runNamedTests } from './run-named-tests.ts';

export interface Verdict {
  /** File name without `.patch`. */
  readonly patch: string;
  readonly test: string;
  /** True when the test noticed. */
  readonly ok: boolean;
  readonly result: string;
}

/** What of the tree a test may need; node_modules is linked. */
const COPIED = ['src', 'replay', 'scenarios', 'scripts', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
const CONCURRENCY = 2;
const UNPATCHED_TIMEOUT_MS = 300_000;
const PATCHED_TIMEOUT_MS = 60_000;

/** Judges every patch in `folder` whose name contains `filter`, by name; the tree at `root` is only read. */
export async function judgePatches(root: string, folder: string, filter: string): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const patches: GuardPatch[] = [];
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.patch') && name.includes(filter))) {
    const name = file.slice(0, -'.patch'.length);
    try {
      patches.push(parseGuardPatch(name, readFileSync(join(folder, file), 'utf8')));
    } catch (error) {
      if (!(error instanceof GuardPatchError)) throw error;
      verdicts.push({ patch: name, test: '', ok: false, result: error.message });
    }
  }
  const scratch = mkdtempSync(join(tmpdir(), 'twinfer-guards-'));
  try {
    const unpatched = patches.length === 0 ? null : await runUnpatched(patches, root, scratch);
    const queue = [...patches];
    const work = async () => {
      for (let patch = queue.shift(); patch !== undefined; patch = queue.shift())
        verdicts.push(unpatchedProblem(patch, unpatched!) ?? (await judge(patch, root, folder, scratch)));
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return verdicts.sort((a, b) => (a.patch < b.patch ? -1 : 1));
}

/** One run for all named tests: they must pass while the guards are in place. */
function runUnpatched(patches: readonly GuardPatch[], root: string, scratch: string): Promise<NamedTestsRun> {
  const files = [...new Set(patches.map((patch) => patch.testFile))];
  const names = [...new Set(patches.map((patch) => patch.testName))];
  return runNamedTests(root, files, names, join(scratch, 'unpatched.json'), UNPATCHED_TIMEOUT_MS);
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

async function judge(patch: GuardPatch, root: string, folder: string, scratch: string): Promise<Verdict> {
  const verdict = (ok: boolean, result: string) => ({ patch: patch.name, test: patch.testName, ok, result });
  const tree = join(scratch, patch.name);
  for (const path of COPIED)
    if (existsSync(join(root, path))) cpSync(join(root, path), join(tree, path), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'), 'dir');
  try {
    const env = { ...process.env, GIT_CEILING_DIRECTORIES: scratch };
    execFileSync('git', ['apply', join(folder, `${patch.name}.patch`)], { cwd: tree, env, stdio: 'pipe' });
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
