import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

/** One test that was not skipped. */
export interface TestOutcome {
  /** From the root of the tree. */
  readonly file: string;
  readonly fullName: string;
  readonly passed: boolean;
}

export interface NamedTestsRun {
  readonly outcomes: readonly TestOutcome[];
  /** Files that could not be loaded, with the reason: their tests did not run. */
  readonly notLoaded: readonly string[];
  readonly timedOut: boolean;
  readonly output: string;
}

/** The part of vitest's JSON report (the format of jest) that is read here. */
interface JsonReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const VITEST = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');

/** Runs the tests of `files` whose full name contains one of `names`, in the tree at `root`, on one worker. */
export async function runNamedTests(
  root: string,
  files: readonly string[],
  names: readonly string[],
  reportPath: string,
  timeoutMs: number,
): Promise<NamedTestsRun> {
  const pattern = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  const args = [VITEST, 'run', '--root', root, ...files, '-t', pattern];
  const reporting = [
    '--reporter=json',
    `--outputFile.json=${reportPath}`,
    '--maxWorkers=1',
    '--coverage.enabled=false',
  ];
  const { output, timedOut } = await run([...args, ...reporting], root, timeoutMs);
  if (timedOut || !existsSync(reportPath)) return { outcomes: [], notLoaded: [], timedOut, output };
  const report = JSON.parse(readFileSync(reportPath, 'utf8')) as JsonReport;
  const outcomes = report.testResults.flatMap((file) =>
    file.assertionResults
      .filter((test) => test.status === 'passed' || test.status === 'failed')
      .map((test) => ({
        file: relative(root, file.name),
        fullName: test.fullName,
        passed: test.status === 'passed',
      })),
  );
  const notLoaded = report.testResults
    .filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
    .map((file) => `${relative(root, file.name)}: ${file.message.split('\n')[0] ?? ''}`);
  return { outcomes, notLoaded, timedOut, output };
}

function run(args: readonly string[], cwd: string, timeoutMs: number): Promise<{ output: string; timedOut: boolean }> {
  return new Promise((resolve, reject) => {
    // A group of its own, so that a worker that never ends goes with its parent.
    const child = spawn(process.execPath, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      resolve({ output, timedOut });
    });
  });
}
