import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

it('a reader that goes away is no error', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, 'generate', 'llama-3.1-8b-h100', '--quiet']);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  // More than a pipe holds is still to come (4,800 lines, 300 kB) when the reader closes.
  child.stdout.once('data', () => child.stdout.destroy());
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect([code, stderr]).toEqual([0, '']);
});
