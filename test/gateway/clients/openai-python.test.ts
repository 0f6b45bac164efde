import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import { REPOSITORY_ROOT } from '../../support/repository-files.ts';
import { startTestServer } from '../../support/test-server.ts';

// The Python package `openai` against the real server. It is installed into an environment of its own, once; where that is not
// possible (no Python, no network) the test skips and says so, but not where CI is set.

const run = promisify(execFile);
const ENVIRONMENT = join(REPOSITORY_ROOT, 'node_modules/.cache/python-openai');
const PYTHON = join(ENVIRONMENT, 'bin/python');
const SCRIPT = join(REPOSITORY_ROOT, 'test/gateway/clients/openai_client.py');

let problem: string | null = null;

beforeAll(async () => {
  try {
    if (!existsSync(PYTHON)) await run('python3', ['-m', 'venv', ENVIRONMENT]);
    const installed = await run(PYTHON, ['-c', 'import openai']).catch(() => null);
    if (installed === null) await run(PYTHON, ['-m', 'pip', 'install', '--quiet', 'openai>=1']);
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
    if (process.env['CI'] === 'true') throw error;
    process.stdout.write(`the Python client is not installed: its test skips (${problem.split('\n', 1)[0]})\n`);
  }
});

it('the Python client: chat, completion, streams, usage, n, logprobs, stop, abort, errors', async (context) => {
  if (problem !== null) return context.skip();
  const server = await startTestServer();
  try {
    const { stdout } = await run(PYTHON, [SCRIPT, `${server.url}/v1`, server.key]);
    const outcomes = JSON.parse(stdout) as Record<string, string | null>;
    expect(Object.keys(outcomes).length).toBeGreaterThanOrEqual(15);
    expect(Object.entries(outcomes).filter(([, wrong]) => wrong !== null)).toEqual([]);
    expect(await server.idle()).toMatchObject({ kv_blocks_used: 0 });
  } finally {
    await server.close();
  }
});
