import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard } from '../../src/gateway/guard.ts';
import { logDestination } from '../../src/runtime/log-file.ts';

const GUARD = new Guard(() => {});

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinfer-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a log file', () => {
  it('is made when missing and appended to', async () => {
    const file = join(folder, 'server.log');
    for (const line of ['one\n', 'two\n']) {
      const log = logDestination(file, GUARD);
      log.write(line);
      await log.flushed();
    }
    expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n');
  });

  it('takes more than one write at a time, whole', async () => {
    const file = join(folder, 'server.log');
    const log = logDestination(file, GUARD);
    const lines = Array.from({ length: 2000 }, (_, i) => `${i} ${'x'.repeat(200)}\n`);
    for (const line of lines) log.write(line);
    await log.flushed();
    expect(readFileSync(file, 'utf8')).toBe(lines.join(''));
  });

  it('that cannot be opened is said at the start, in one line', () => {
    expect(() => logDestination(join(folder, 'no', 'server.log'), GUARD)).toThrow(
      /^log file .*: no such file or directory$/,
    );
    expect(() => logDestination(folder, GUARD)).toThrow(/is a directory, not a file$/);
  });

  it.skipIf(!existsSync('/dev/full'))('on a full disk loses lines, counts them and goes on', async () => {
    const log = logDestination('/dev/full', GUARD);
    for (let i = 0; i < 5; i++) {
      log.write('lost\n');
      await log.flushed();
    }
    expect(log.linesDropped).toBe(5);
  });
});
