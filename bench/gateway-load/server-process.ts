import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Load, LoadResult } from './load-generator.ts';

/** A server in a process of its own. */
export interface ServerProcess {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Monotonic clock of the machine minus that of the process, ns. */
  readonly clockOffsetNs: number;
  readonly exited: Promise<number | null>;
  /** SIGTERM; resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Runs before the server in its process: says how its clock stands to the machine's, on the fourth channel, and collects garbage
 * on SIGUSR2.
 */
const PRELUDE = `import { writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';
if (isMainThread) {
  writeSync(3, String(Number(process.hrtime.bigint()) - performance.now() * 1e6) + '\\n');
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  process.on('SIGUSR2', () => { collect(); collect(); });
}`;
const PRELUDE_MODULE = `data:text/javascript,${encodeURIComponent(PRELUDE)}`;
const START_MS_MAX = 60_000;

/**
 * Starts `node file arguments` (through tsx where the file is TypeScript) and waits until it prints an address. Throws what it
 * wrote when it ends before.
 */
export function startServerProcess(file: string, argumentsOfServer: readonly string[]): Promise<ServerProcess> {
  const child = spawn(process.execPath, ['--import', PRELUDE_MODULE, ...loader(file), file, ...argumentsOfServer], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  return new Promise((resolve, reject) => {
    let written = '';
    let offset = '';
    const timer = setTimeout(() => fail(`no address in ${START_MS_MAX} ms`), START_MS_MAX);
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`${file}: ${why}\n${written}`));
    };
    const look = (): void => {
      const address = /http:\/\/[\w.[\]:]+:(\d+)/.exec(written);
      if (address === null || !offset.includes('\n')) return;
      clearTimeout(timer);
      child.off('exit', onExit);
      written = '';
      const port = Number(address[1]);
      resolve({
        url: address[0],
        port,
        pid: child.pid!,
        clockOffsetNs: Number(offset),
        exited,
        stop: () => stop(child, exited),
      });
    };
    const onExit = (code: number | null): void => fail(`ended with code ${code}`);
    child.once('exit', onExit);
    const onText = (text: Buffer): void => {
      // After the start the text is of no use, but must be read.
      if (written.length < 100_000) written += text.toString();
      look();
    };
    child.stdout!.on('data', onText);
    child.stderr!.on('data', onText);
    child.stdio[3]!.on('data', (text: Buffer) => {
      offset += text.toString();
      look();
    });
  });
}

async function stop(child: ChildProcess, exited: Promise<number | null>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(timer);
}

function loader(file: string): string[] {
  return file.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [];
}

const GENERATOR = fileURLToPath(new URL('./load-generator.ts', import.meta.url));

/** Loads a server from a third process. */
export function runLoad(load: Load): Promise<LoadResult> {
  const child = spawn(process.execPath, [...loader(GENERATOR), GENERATOR, JSON.stringify(load)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (part: Buffer) => {
    text += part.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(text) as LoadResult);
      else reject(new Error(`the load generator ended with code ${code}`));
    });
  });
}
