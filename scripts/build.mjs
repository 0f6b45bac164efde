// Builds dist/ with the TypeScript compiler. Plain JavaScript: it runs during `npm ci`, before anything else is built.
//
//   node scripts/build.mjs                 fails when the compiler is not installed
//   node scripts/build.mjs --if-possible   keeps dist/ as it is then (an installation without development dependencies)
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const executable = `${root}dist/src/cli/main.js`;

let compiler = null;
try {
  compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
} catch {
  const state = existsSync(executable) ? 'dist/ stays as it is' : 'there is no dist/ yet';
  console.log(`build: typescript is not installed (development dependencies left out); ${state}`);
  process.exit(process.argv.includes('--if-possible') ? 0 : 1);
}

rmSync(`${root}dist`, { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
// Data that the code reads beside itself.
for (const folder of ['src/backends/simulated/profiles', 'src/observability/dashboard/page']) {
  cpSync(`${root}${folder}`, `${root}dist/${folder}`, { recursive: true });
}
if (existsSync(executable)) chmodSync(executable, 0o755);
