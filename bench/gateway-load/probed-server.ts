import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { CostlyRequest } from './costly-requests.ts';

/** What a server's main thread has done since it was asked last. */
export interface Probe {
  /** Longest CPU time between two turns of the event loop, garbage collection included, ms. */
  readonly worstMs: number;
  /** Most resident memory of the process, looked at 50 times a second. */
  readonly rssBytes: number;
}

export interface Asked extends Probe {
  /** 0: the connection broke. */
  readonly status: number;
  readonly bytes: number;
}

const PROBE_MODULE = new URL('./event-loop-probe.mjs', import.meta.url).href;

/** A server in a process of its own whose event loop is watched; as fast as it can, and with room for large requests. */
export class ProbedServer {
  private readonly child: ChildProcess;
  private readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
  }

  /** `cli`: command line of the build, or its source. `lines`: of the server's configuration file. */
  static async start(cli: string, lines: readonly string[] = []): Promise<ProbedServer> {
    const folder = mkdtempSync(`${tmpdir()}/twinfer-probe-`);
    const file = `${folder}/serve.yaml`;
    const all = ['port: 0', 'time_scale: 0', 'log: {level: silent}', ...lines];
    writeFileSync(file, `${all.join('\n')}\n`);
    const loader = cli.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [];
    const child = spawn(process.execPath, [...loader, '--import', PROBE_MODULE, cli, 'serve', file], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    let written = '';
    const url = await new Promise<string>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`${cli} ended with code ${code}\n${written}`)));
      child.stdout!.on('data', (text: Buffer) => {
        if (written.length < 10_000) written += text.toString();
        const address = /http:\/\/[\w.[\]:]+:\d+/.exec(written);
        if (address !== null) resolve(address[0]);
      });
    });
    rmSync(folder, { recursive: true });
    return new ProbedServer(child, url);
  }

  /** Sends a request and reads its whole answer. */
  async ask({ path, body }: CostlyRequest): Promise<Asked> {
    const text = body();
    await this.probe();
    let status = 0;
    let bytes = 0;
    try {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(this.url + path, { method: 'POST', headers, body: text });
      for await (const part of answer.body!) bytes += part.length;
      status = answer.status;
    } catch {
      // A body above the limit is refused before all of it is read: the connection is closed.
    }
    return { status, bytes, ...(await this.probe()) };
  }

  /** What was seen since the last call. */
  probe(): Promise<Probe> {
    return new Promise((resolve) => {
      this.child.once('message', (probe) => resolve(probe as Probe));
      this.child.send('probe');
    });
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await exited;
  }
}

/** Longest turn of the event loop that a request may cause, CPU ms: others wait at most that long. */
export const TURN_MAX_MS = 50;

/** Sends requests one after the other; what was wrong, with the command that repeats it. */
export async function longTurns(server: ProbedServer, requests: Iterable<CostlyRequest>): Promise<string[]> {
  const wrong: string[] = [];
  for (const request of requests) {
    const { status, worstMs } = await server.ask(request);
    const say = (what: string) => wrong.push(`${request.name}: ${what} (npx tsx bench/event-loop.ts --generated 5000)`);
    if (worstMs > TURN_MAX_MS) say(`a turn took ${worstMs.toFixed(1)} ms of CPU`);
    if (status === 500 || (request.status !== null && status !== request.status)) say(`status ${status}`);
  }
  return wrong;
}
