import { describe, expect, it } from 'vitest';
import { LogSink } from '../../../src/gateway/limits/log-sink.ts';

/** A file that takes texts when the test says so. */
class Disk {
  text = '';
  full = false;
  readonly waiting: (() => void)[] = [];
  private readonly auto: boolean;
  constructor(auto: boolean) {
    this.auto = auto;
  }
  readonly write = (text: string, done: (error: Error | null) => void): void => {
    const finish = (): void => {
      if (!this.full) this.text += text;
      done(this.full ? new Error('ENOSPC') : null);
    };
    if (this.auto) finish();
    else this.waiting.push(finish);
  };
}

describe('a log that can be written', () => {
  it('gets every line once and in order, one write at a time', async () => {
    const disk = new Disk(false);
    const sink = new LogSink(disk.write);
    for (const line of ['a\n', 'b\n', 'c\n']) sink.write(line);
    expect(disk.waiting.length).toBe(1);
    const flushed = sink.flushed();
    disk.waiting.shift()!();
    expect(disk.waiting.length).toBe(1);
    disk.waiting.shift()!();
    await flushed;
    expect(disk.text).toBe('a\nb\nc\n');
    expect(sink.linesDropped).toBe(0);
  });

  it('is flushed at once when nothing is under way', async () => {
    await new LogSink(new Disk(true).write).flushed();
  });
});

describe('a log on a full disk', () => {
  it('loses and counts lines, tries again with each, and tells of the loss when there is room', () => {
    const disk = new Disk(true);
    const sink = new LogSink(disk.write);
    sink.write('a\n');
    disk.full = true;
    for (let i = 0; i < 7; i++) sink.write('lost\n');
    expect(sink.linesDropped).toBe(7);
    disk.full = false;
    sink.write('b\n');
    sink.write('c\n');
    const [first, loss, ...rest] = disk.text.trimEnd().split('\n');
    expect([first, rest]).toEqual(['a', ['b', 'c']]);
    expect(JSON.parse(loss!)).toMatchObject({ level: 40, linesDropped: 7 });
    expect(sink.linesDropped).toBe(7);
  });

  it('counts the lines of a batch that fails', () => {
    const disk = new Disk(false);
    disk.full = true;
    const sink = new LogSink(disk.write);
    sink.write('a\n');
    sink.write('b\n');
    sink.write('c\n');
    while (disk.waiting.length > 0) disk.waiting.shift()!();
    expect(sink.linesDropped).toBe(3);
  });

  it('keeps bounded memory while a write hangs', () => {
    const disk = new Disk(false);
    const sink = new LogSink(disk.write, 100);
    sink.write('under way\n');
    for (let i = 0; i < 1000; i++) sink.write('0123456789');
    expect(sink.linesDropped).toBe(990);
  });

  it('takes one answer for each write', () => {
    const sink = new LogSink((_text, done) => {
      done(new Error('EIO'));
      done(new Error('EIO'));
    });
    sink.write('a\n');
    expect(sink.linesDropped).toBe(1);
  });
});
