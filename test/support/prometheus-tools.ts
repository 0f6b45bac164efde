import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { until } from './until.ts';

/** Debian's programs that tests use as oracles. */
const TOOLS = ['promtool', 'prometheus', 'amtool', 'prometheus-alertmanager'] as const;
type Tool = (typeof TOOLS)[number];

/** Those that are not here. */
export const MISSING_TOOLS: readonly string[] = TOOLS.filter((tool) => spawnSync(tool, ['--version']).status !== 0);

/**
 * Whether Prometheus and Alertmanager are here. In CI they must be, so that a green run means that they agreed.
 * Elsewhere tests that need them skip; the run says so when it begins.
 */
export function hasPrometheus(): boolean {
  if (MISSING_TOOLS.length > 0 && process.env['CI'] !== undefined) {
    throw new Error(
      `${MISSING_TOOLS.join(', ')} not found: apt-get install --no-install-recommends prometheus prometheus-alertmanager`,
    );
  }
  return MISSING_TOOLS.length === 0;
}

/** Output of a tool. Throws what it printed where it fails. */
export async function runTool(tool: Tool, args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(tool, args, { maxBuffer: 1 << 28 });
    return stdout + stderr;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${tool} ${args.join(' ')}: ${stdout ?? ''}${stderr ?? String(error)}`);
  }
}

export interface RunningTool {
  readonly url: string;
  stop(): Promise<void>;
}

/** A server of theirs on a free port, ready when this resolves. `args` gets the address to listen on. */
export async function startTool(tool: Tool, args: (address: string) => readonly string[]): Promise<RunningTool> {
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(tool, args(address), { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-10_000);
  });
  const url = `http://${address}`;
  await until(async () => child.exitCode !== null || (await answers(`${url}/-/ready`)), Boolean);
  if (child.exitCode !== null) throw new Error(`${tool} did not start: ${log}`);
  return { url, stop: () => ended(child) };
}

/** JSON that `/api/v1` answers, its `data`. */
export async function prometheusApi<T>(url: string, path: string, parameters: Record<string, string>): Promise<T> {
  const response = await fetch(`${url}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const body = (await response.json()) as { status: string; error?: string; data: T };
  if (body.status !== 'success') throw new Error(`${path} ${JSON.stringify(parameters)}: ${body.error}`);
  return body.data;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    // Not listening yet.
    return false;
  }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) resolve();
    else child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
