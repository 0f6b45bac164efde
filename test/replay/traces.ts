import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openTrace, type TraceOptions, type TraceWorkload } from '../../replay/open-trace.ts';
import { emptyBlockKey } from '../../src/core/index.ts';
import type { Workload, WorkloadRequest } from '../../src/simulation/workload.ts';

/** Folder of the public traces, or undefined: then the tests that need them are skipped and say so in their title. */
export const DATA = process.env['TWINFER_DATA'];
export const WHY_SKIPPED =
  DATA === undefined ? ' (skipped: TWINFER_DATA does not name the folder of public traces)' : '';

let folder: string | null = null;
let files = 0;

/** A file with this content in a folder that is removed after the tests. */
export function traceFile(content: string | Buffer, name = 'trace'): string {
  folder ??= mkdtempSync(join(tmpdir(), 'twinfer-traces-'));
  const path = join(folder, `${files++}-${name}`);
  writeFileSync(path, content);
  return path;
}

afterAll(() => {
  if (folder !== null) rmSync(folder, { recursive: true });
  folder = null;
});

export async function readAll(workload: Workload): Promise<WorkloadRequest[]> {
  const requests: WorkloadRequest[] = [];
  for (let batch = await workload.next(); batch !== null; batch = await workload.next()) requests.push(...batch);
  workload.close();
  return requests;
}

export async function readTrace(
  path: string,
  options: TraceOptions = {},
): Promise<{ requests: WorkloadRequest[]; workload: TraceWorkload }> {
  const workload = openTrace(path, options);
  return { requests: await readAll(workload), workload };
}

/** The error that reading `content` ends in, or null. */
export async function errorOf(content: string | Buffer, options: TraceOptions = {}): Promise<Error | null> {
  try {
    await readTrace(traceFile(content), options);
    return null;
  } catch (error) {
    return error as Error;
  }
}

/** Keys of all full blocks of a prompt and of `outputTokens` tokens after it, as comparable text. */
export function blockKeys(request: WorkloadRequest, blockSize: number, outputTokens = 0): string[] {
  const key = emptyBlockKey();
  const keys: string[] = [];
  for (let i = 0; (i + 1) * blockSize <= request.prompt.length + outputTokens; i++) {
    request.prompt.blockKey(i, blockSize, key);
    keys.push(`${key.exact}:${key.lane0}:${key.lane1}`);
  }
  return keys;
}

/** Everything about a request that can be compared, content by its first and last tokens. */
export function facts(request: WorkloadRequest): unknown {
  const { prompt, ...rest } = request;
  const tokens = new Int32Array(24);
  prompt.copy(0, Math.min(8, prompt.length), tokens, 0);
  prompt.copy(Math.max(0, prompt.length - 8), 16, tokens, 8);
  return { ...rest, promptTokens: prompt.length, tokens: [...tokens] };
}
