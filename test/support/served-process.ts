import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './http-calls.ts';
import { REPOSITORY_ROOT } from './repository-files.ts';

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `twinfer serve` as a process of its own. */
export interface ServedProcess {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly exit: Promise<Exit>;
  /** What it has written to its log. */
  log(): string;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts it with lines of its configuration, from source, on a free port and without keys. `wrapper`: a program with its arguments
 * that becomes the server.
 */
export async function serveProcess(config: string, wrapper: readonly string[] = []): Promise<ServedProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'twinfer-served-'));
  const file = join(folder, 'serve.yaml');
  const log = join(folder, 'server.log');
  writeFileSync(file, `port: 0\nserved_model_names: [twin]\nlog: {level: warn, file: server.log}\n${config}\n`);
  const main = join(REPOSITORY_ROOT, 'src/cli/main.ts');
  const [program, ...rest] = [...wrapper, process.execPath, '--import', 'tsx', main, 'serve', file];
  const child = spawn(program!, rest, { cwd: REPOSITORY_ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
  let written = '';
  const exit = new Promise<Exit>((resolve) =>
    child.once('exit', (code, signal) => {
      written = readFileSync(log, 'utf8');
      rmSync(folder, { recursive: true, force: true });
      resolve({ code, signal });
    }),
  );
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
  });
  await until(
    () => output,
    (text) => /curl .*\n/.test(text),
  );
  const url = /url +(http:\S+)\/v1\n/.exec(output)![1]!;
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid!,
    exit,
    log: () => (child.exitCode === null && child.signalCode === null ? readFileSync(log, 'utf8') : written),
    kill: (signal) => child.kill(signal),
  };
}
