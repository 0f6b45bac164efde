import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type ServerProcess, startServerProcess } from './server-process.ts';

/** The built command line; benchmarks time it, not the sources through a loader. */
export const BUILT_CLI = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

/** /load, as far as it is read here. */
export interface LoadPage {
  readonly live_requests: number;
  readonly running_sequences: number;
  readonly waiting_sequences: number;
  readonly kv_blocks_used: number;
  readonly output_tokens: number;
  readonly steps: number;
  readonly engine_restarts: number;
  readonly pace_error_p99_ms: number;
  readonly pace_error_last_ms: number;
}

/** Starts `twinfer serve` with lines of its configuration file, on a free port and with no more log than errors. */
export async function startGateway(cli: string, lines: readonly string[]): Promise<ServerProcess> {
  const folder = mkdtempSync(`${tmpdir()}/twinfer-bench-`);
  try {
    const file = `${folder}/serve.yaml`;
    writeFileSync(file, `${['port: 0', 'log: {level: error}', ...lines].join('\n')}\n`);
    return await startServerProcess(cli, ['serve', file]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A key in the server's configuration. */
export function keyEntry({ name, key }: { readonly name: string; readonly key: string }): object {
  return { name, sha256: createHash('sha256').update(key).digest('hex') };
}

export async function loadPage(url: string, key: string | null = null): Promise<LoadPage> {
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  return (await (await fetch(`${url}/load`, { headers })).json()) as LoadPage;
}

/** Waits until nothing is with the engine. Throws after `deadlineMs`. */
export async function untilIdle(url: string, key: string | null = null, deadlineMs = 60_000): Promise<LoadPage> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const page = await loadPage(url, key);
    if (page.live_requests + page.running_sequences + page.waiting_sequences === 0) return page;
    if (performance.now() > endMs) throw new Error(`still busy after ${deadlineMs} ms: ${JSON.stringify(page)}`);
    await pause(50);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
