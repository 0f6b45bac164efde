import { execFileSync } from 'node:child_process';
import { closeSync, lstatSync, openSync, readFileSync, readSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OutputFiles } from '../../src/runtime/output-files.ts';
import { scratch } from './scenarios.ts';

const folder = scratch();

/** Writes `text` to `path` as a run would, and commits or abandons it. */
function written(path: string, text: string, end: 'commit' | 'abandon'): void {
  const files = new OutputFiles();
  files.create('--output', path).write(text);
  files[end]();
  files.abandon();
}

describe('a place that is no plain file', () => {
  it.skipIf(process.platform === 'win32')('a pipe or device is written to, never replaced or removed', () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reader = openSync(pipe, 'r+');
    written(pipe, 'through\n', 'commit');
    const bytes = Buffer.alloc(64);
    expect(lstatSync(pipe).isFIFO()).toBe(true);
    expect(bytes.toString('utf8', 0, readSync(reader, bytes))).toBe('through\n');
    written(pipe, 'away\n', 'abandon');
    expect(lstatSync(pipe).isFIFO()).toBe(true);
    closeSync(reader);
  });

  it('a link keeps pointing at its file, which gets the bytes', () => {
    const target = join(folder, 'target');
    const link = join(folder, 'link');
    writeFileSync(target, 'old');
    symlinkSync(target, link);
    written(link, 'lost', 'abandon');
    expect(readFileSync(target, 'utf8')).toBe('old');
    written(link, 'new', 'commit');
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, 'utf8')).toBe('new');
  });
});
