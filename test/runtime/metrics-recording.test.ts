import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CELLS_TOTAL, cellOf, MetricsHistory } from '../../src/observability/index.ts';
import { readRecording, writeRecording } from '../../src/runtime/metrics-recording.ts';
import { OutputFiles } from '../../src/runtime/output-files.ts';
import { scratch } from './scenarios.ts';

const folder = scratch();

function textOf(history: MetricsHistory): string {
  const parts: string[] = [];
  writeRecording({ write: (text) => parts.push(text) }, history);
  return parts.join('');
}

function historyOf(rows: readonly (readonly [seconds: number, changes: Readonly<Record<number, number>> | null])[]) {
  const history = new MetricsHistory({ rowsMax: Number.POSITIVE_INFINITY, intervalSeconds: 15 });
  const cells = new Float64Array(CELLS_TOTAL);
  for (const [seconds, changes] of rows) {
    for (const [cell, value] of Object.entries(changes ?? {})) cells[Number(cell)] = value;
    if (changes === null) history.addDown(seconds);
    else history.add(seconds, cells);
  }
  return history;
}

function rowsOf(history: MetricsHistory): readonly (readonly [number, readonly number[]])[] {
  return Array.from({ length: history.length }, (_, row) => [
    history.timeSeconds(row),
    history.up(row) ? [...history.row(row)] : [],
  ]);
}

describe('a recording', () => {
  it('gives back every value of every row, packed or not', async () => {
    const value = fc.oneof(fc.double({ noDefaultInfinity: true }), fc.nat(), fc.constant(Number.NaN), fc.constant(0));
    const changes = fc.dictionary(fc.integer({ min: 0, max: CELLS_TOTAL - 1 }).map(String), value, { maxKeys: 12 });
    await fc.assert(
      fc.asyncProperty(fc.array(changes, { minLength: 1, maxLength: 20 }), fc.boolean(), async (rows, packed) => {
        const history = historyOf(rows.map((each, i) => [i * 15, i % 7 === 3 ? null : each]));
        history.info = { backend: 'simulator', model: 'm' };
        const path = join(folder, packed ? 'run.jsonl.gz' : 'run.jsonl');
        const files = new OutputFiles();
        writeRecording(files.create('--metrics', path), history);
        files.commit();
        const read = await readRecording(path);
        // JSON knows no minus zero; no metric does either.
        expect(rowsOf(read)).toEqual(rowsOf(history).map(([at, cells]) => [at, cells.map((cell) => cell + 0)]));
        expect([read.intervalSeconds, read.info]).toEqual([15, history.info]);
      }),
      { numRuns: 50 },
    );
  });

  it('finds its cells by name, and leaves out a histogram with other buckets', async () => {
    const waiting = cellOf('scheduler_waiting_queue_size');
    const firstToken = cellOf('time_to_first_token_seconds');
    const text = textOf(historyOf([[0, { [waiting]: 7, [firstToken]: 3 }]]));
    const [header, row] = text.trimEnd().split('\n') as [string, string];
    const value = JSON.parse(header) as { cells: string[] };
    value.cells = value.cells.map((name) =>
      name.replace('first_token_seconds_bucket{le="0.01"}', 'first_token_seconds_bucket{le="0.02"}'),
    );
    value.cells.splice(0, 0, 'a_metric_of_another_version');
    const [seconds, ...pairs] = JSON.parse(row) as (number | null)[];
    const moved = pairs.map((each, i) => (i % 2 === 0 ? each! + 1 : each));
    const path = join(folder, 'other-catalogue.jsonl');
    writeFileSync(path, `${JSON.stringify(value)}\n${JSON.stringify([seconds, ...moved])}\n`);
    const read = await readRecording(path);
    expect(read.value(0, waiting)).toBe(7);
    expect(read.value(0, firstToken)).toBeNaN();
    expect(read.value(0, firstToken + 1)).toBeNaN();
  });

  it('goes on after a further header, from the rows that are later', async () => {
    const waiting = cellOf('scheduler_waiting_queue_size');
    const first = textOf(
      historyOf([
        [10, { [waiting]: 1 }],
        [25, { [waiting]: 2 }],
      ]),
    );
    const second = textOf(
      historyOf([
        [20, { [waiting]: 3 }],
        [35, { [waiting]: 4 }],
      ]),
    );
    const path = join(folder, 'restarted.jsonl');
    writeFileSync(path, first + second);
    const read = await readRecording(path);
    expect(rowsOf(read).map(([at, cells]) => [at, cells[waiting]])).toEqual([
      [10, 1],
      [25, 2],
      [35, 4],
    ]);
  });

  it('does without a last line that was cut off', async () => {
    const text = textOf(
      historyOf([
        [0, { 9: 1 }],
        [15, { 9: 2 }],
      ]),
    );
    const path = join(folder, 'killed.jsonl');
    writeFileSync(path, text.slice(0, -4));
    expect((await readRecording(path)).length).toBe(1);
  });
});

const GOOD = textOf(historyOf([[5, { 9: 1 }]]));
const HEADER = GOOD.split('\n')[0]!;
const BAD: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ['an empty file', '', /: has no rows$/],
  ['a header alone', `${HEADER}\n`, /: has no rows$/],
  ['another format', '{"requests":1}\n', /:1: not a recording of metrics; allowed: what --record or --metrics/],
  ['no JSON', 'time,value\n', /:1: not JSON$/],
  ['another version', HEADER.replace('"version":1', '"version":9'), /:1: version 9 is not allowed; allowed: 1$/],
  [
    'a bad interval',
    HEADER.replace('"intervalSeconds":15', '"intervalSeconds":0'),
    /:1: intervalSeconds 0 is not allowed/,
  ],
  ['a row first', '[1]\n', /:1: a row before the header$/],
  ['no pairs', `${GOOD}[6,9]\n`, /:3: a row that is not \[seconds, cell, value, \.\.\.\]$/],
  [
    'an unknown cell',
    `${GOOD}[6,99999,1]\n`,
    /:3: cell 99999 = 1 is not allowed; allowed: a number or null for cells 0 to/,
  ],
  ['a text as value', `${GOOD}[6,9,"x"]\n`, /:3: cell 9 = "x" is not allowed/],
  ['time that stands still', `${GOOD}[5,9,2]\n`, /:3: time 5 is not allowed; allowed: above 5, of the row before$/],
  ['a broken line in the middle', `${GOOD}[6,9\n[7,9,2]\n`, /:3: not JSON$/],
];

describe('a file that is no recording', () => {
  it.each(BAD)('%s: says where and what', async (_what, text, message) => {
    const path = join(folder, 'bad.jsonl');
    writeFileSync(path, text);
    await expect(readRecording(path)).rejects.toThrow(message);
    await expect(readRecording(path)).rejects.toThrow(`recording ${path}`);
  });

  it('packed and cut off, or not there', async () => {
    const path = join(folder, 'cut.jsonl.gz');
    writeFileSync(path, gzipSync(GOOD.repeat(50)).subarray(0, 600));
    await expect(readRecording(path)).rejects.toThrow(/is gzip that ends too early/);
    await expect(readRecording(join(folder, 'nowhere'))).rejects.toThrow(/nowhere: no such file or directory/);
  });
});
