import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REPOSITORY_ROOT } from '../support/repository-files.ts';

describe('.ci/count-tests', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinfer-count-'));
    writeFileSync(join(folder, 'good.json'), '{"numPassedTests":7,"numFailedTests":0}');
    writeFileSync(join(folder, 'bad.json'), '{"numPassedTests":5,"numFailedTests":2}');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['good.json', '0', '7 0'],
    ['bad.json', '1', '5 2'],
    ['good.json', '1', '7 1'],
    ['missing.json', '1', '0 1'],
  ])('%s with exit status %s counts %s', (report, status, counts) => {
    const args = [join(REPOSITORY_ROOT, '.ci/count-tests.mjs'), join(folder, report), status];
    expect(execFileSync(process.execPath, args, { encoding: 'utf8' }).trim()).toBe(counts);
  });
});
