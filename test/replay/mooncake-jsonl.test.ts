import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blockKeys, DATA, errorOf, readTrace, traceFile, WHY_SKIPPED } from './traces.ts';

function row(timestamp: number, input: number, output: number, ids: unknown[], more: object = {}): string {
  return `${JSON.stringify({ timestamp, input_length: input, output_length: output, hash_ids: ids, ...more })}\n`;
}

describe('Mooncake JSONL', () => {
  it('makes equal hash ids equal content, and everything after them different', async () => {
    const { requests, workload } = await readTrace(
      traceFile(row(0, 1600, 40, [7, 8, 9, 10]) + row(0, 1600, 40, [7, 8, 11, 12]) + row(1, 1536, 40, [7, 8, 9])),
    );
    expect(workload.format).toBe('mooncake-jsonl');
    const [a, b, c] = requests.map((request) => blockKeys(request, 16, 32));
    const shared = (2 * 512) / 16;
    expect(b!.slice(0, shared)).toEqual(a!.slice(0, shared));
    expect(b!.slice(shared).some((key) => a!.includes(key))).toBe(false);
    // c ends where a's third block does; its output is its own.
    expect(c!.slice(0, 96)).toEqual(a!.slice(0, 96));
    expect(c!.slice(96).some((key) => a!.includes(key))).toBe(false);
  });

  it('shares an equal partial last block up to its last full engine block', async () => {
    const { requests } = await readTrace(traceFile(row(0, 600, 30, [3, 4]) + row(0, 600, 30, [3, 4])));
    const [a, b] = requests.map((request) => blockKeys(request, 16, 24));
    expect(a!.slice(0, 37)).toEqual(b!.slice(0, 37)); // 592 of 600 tokens
    expect(a!.slice(37)).not.toEqual(b!.slice(37)); // the output begins in block 37
    expect(a!.length).toBe(39);
  });

  it('spreads the rows of one stamp evenly up to the next, in order', async () => {
    const text = [0, 0, 0, 3000, 5999, 5999, 30_000, 30_000].map((at, i) => row(at, 512, i + 1, [i])).join('');
    const { requests } = await readTrace(traceFile(text));
    expect(requests.map((request) => request.outputTokensMax)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(requests.map((request) => request.arrivalNs / 1e6)).toEqual([
      0, 1000, 2000, 3000, 5999, 7499, 30_000, 31_500,
    ]);
  });

  it('never moves a row past the next stamp', async () => {
    const text = [0, 10, 10, 10, 13].map((at, i) => row(at, 512, i + 1, [i])).join('');
    const { requests } = await readTrace(traceFile(text));
    expect(requests.map((request) => request.arrivalNs / 1e6)).toEqual([0, 10, 11, 12, 13]);
  });

  it('ignores further keys', async () => {
    const { requests } = await readTrace(traceFile(row(0, 5, 1, [1], { session: 'x' })));
    expect(requests.length).toBe(1);
  });

  it.each([
    ['input_length', row(0, 0, 5, []), '1:31', '0'],
    ['output_length', row(0, 5, 0, [1]), '1:49', '0'],
    ['hash_ids', row(0, 513, 5, [1]), '1:64', '[1]'],
    ['hash_ids', row(0, 5, 5, [-4]), '1:62', '-4'],
    ['hash_ids', row(0, 5, 5, [2 ** 31]), '1:62', '2147483648'],
    ['timestamp', row(-1, 5, 5, [1]), '1:14', '-1'],
  ])('names place, field and value of a bad %s', async (field, text, place, value) => {
    const error = await errorOf(text);
    expect(error?.message).toContain(`:${place}: field "${field}": value is ${value}; allowed: `);
  });

  it('names the place where JSON breaks', async () => {
    const error = await errorOf(`${row(0, 5, 5, [1])}{"timestamp": 1,\n`);
    expect(error?.message).toMatch(/:2:\d+: value is \{"timestamp": 1,; allowed: one JSON object per line$/);
  });
});

describe.skipIf(DATA === undefined)(`public Mooncake traces${WHY_SKIPPED}`, () => {
  const path = (name: string): string => join(DATA!, 'traces/mooncake-fast25', `${name}_trace.jsonl`);

  it.each([
    ['conversation', 12_031, 144_793_823, 4_122_048, 3_539_569_571_428],
    ['synthetic', 3_993, 61_194_628, 595_432, 1_022_025_000_000],
  ])('%s: every row, every token, in order', async (name, rows, promptTokens, outputTokens, lastNs) => {
    const { requests } = await readTrace(path(name));
    expect(requests.length).toBe(rows);
    expect(requests.reduce((sum, request) => sum + request.prompt.length, 0)).toBe(promptTokens);
    expect(requests.reduce((sum, request) => sum + request.outputTokensMax, 0)).toBe(outputTokens);
    expect(requests.every((request, i) => i === 0 || request.arrivalNs >= requests[i - 1]!.arrivalNs)).toBe(true);
    expect(requests.at(-1)!.arrivalNs).toBe(lastNs);
  });

  it('conversation: no 3 s burst is left', async () => {
    const { requests } = await readTrace(path('conversation'));
    const ties = requests.filter((request, i) => i > 0 && request.arrivalNs === requests[i - 1]!.arrivalNs);
    expect(ties.length).toBe(0);
  });

  it.each(['conversation', 'synthetic'])('%s: whole blocks repeat exactly where the hash ids do', async (name) => {
    const { requests } = await readTrace(path(name));
    const rows = readFileSync(path(name), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { input_length: number; hash_ids: number[] });
    const seenKeys = new Set<string>();
    const seenIds = new Set<number>();
    let repeated = 0;
    requests.forEach((request, i) => {
      const keys = blockKeys(request, 512);
      const ids = rows[i]!.hash_ids.slice(0, Math.floor(rows[i]!.input_length / 512));
      expect(keys.map((key) => seenKeys.has(key))).toEqual(ids.map((id) => seenIds.has(id)));
      for (const key of keys) seenKeys.add(key);
      for (const id of ids) repeated += seenIds.has(id) ? 1 : 0;
      for (const id of ids) seenIds.add(id);
    });
    expect(seenKeys.size).toBe(seenIds.size);
    expect(repeated).toBeGreaterThan(70_000);
  });
});
