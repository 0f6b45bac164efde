// Checks the packages that a user of the server installs, as package-lock.json has them: licences, versions of Node, install
// scripts, hosts of registries. NOTICE names them all.
//
//   npm run licences              checks, prints the table
//   npm run licences -- --write   writes NOTICE
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import {
  installedProblems,
  lockfileProblems,
  noticeText,
  packageProblems,
  productionPackages,
  readLockfile,
} from './production-packages.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NOTICE = join(ROOT, 'NOTICE');

function main(write: boolean): number {
  const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { engines: { node: string } };
  const lockfile = readLockfile(ROOT);
  const packages = productionPackages(lockfile);
  const notice = noticeText(packages, ROOT);
  if (write) writeFileSync(NOTICE, notice);
  const table = new Table({ head: ['package', 'version', 'licence', 'Node'], style: { head: [], border: [] } });
  for (const { name, version, licence, node } of packages) table.push([name, version, licence ?? '?', node ?? '']);
  console.log(table.toString());
  const problems = [
    ...lockfileProblems(lockfile),
    ...packages.flatMap((one) => [...packageProblems(one, engines.node), ...installedProblems(one, ROOT)]),
  ];
  if (!existsSync(NOTICE) || readFileSync(NOTICE, 'utf8') !== notice)
    problems.push('NOTICE: out of date; expected: the output of npm run licences -- --write');
  for (const problem of problems) console.error(problem);
  console.log(`licences: ${packages.length} packages, ${problems.length} problems`);
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = main(process.argv.includes('--write'));
