import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openTrace } from '../../replay/open-trace.ts';
import { GREEDY } from '../../src/core/index.ts';
import { blockKeys, DATA, errorOf, readTrace, traceFile, WHY_SKIPPED } from './traces.ts';

const HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens\n';

async function arrivals(...stamps: string[]): Promise<number[]> {
  const rows = stamps.map((stamp) => `${stamp},10,5\n`).join('');
  const { requests } = await readTrace(traceFile(HEADER + rows));
  return requests.map((request) => request.arrivalNs);
}

describe('Azure CSV', () => {
  it('counts arrivals in nanoseconds from the first row, over midnight, month and leap day', async () => {
    expect(await arrivals('2023-11-16 18:15:46.6805900', '2023-11-16 18:15:50.9951690')).toEqual([0, 4_314_579_000]);
    expect(await arrivals('2023-12-31 23:59:59', '2024-01-01 00:00:01.5')).toEqual([0, 2_500_000_000]);
    expect(await arrivals('2024-02-28 00:00:00', '2024-03-01 00:00:00')).toEqual([0, 2 * 86_400e9]);
    expect(await arrivals('2023-02-28 00:00:00', '2023-03-01 00:00:00')).toEqual([0, 86_400e9]);
  });

  it('reads the timestamps of 2024: time zone, and no fraction where it is zero', async () => {
    expect(
      await arrivals('2024-05-10 00:00:00.009930+00:00', '2024-05-10 00:00:01+00:00', '2024-05-10 02:00:02+02:00'),
    ).toEqual([0, 990_070_000, 1_990_070_000]);
    expect(await arrivals('2024-05-10T00:00:00Z', '2024-05-09T22:30:05-0130')).toEqual([0, 5e9]);
  });

  it('keeps nine digits of a fraction and drops the rest', async () => {
    expect(await arrivals('2024-05-10 00:00:00.0', '2024-05-10 00:00:00.1234567899')).toEqual([0, 123_456_789]);
  });

  it('gives any wall-clock time what Date gives', async () => {
    const time = fc.date({ min: new Date('1971-01-01'), max: new Date('2099-12-31'), noInvalidDate: true });
    await fc.assert(
      fc.asyncProperty(time, fc.integer({ min: 0, max: 8_000_000_000 }), async (start, laterMs) => {
        const end = new Date(start.getTime() + laterMs);
        const stamp = (date: Date): string => date.toISOString().replace('T', ' ').replace('Z', '');
        expect(await arrivals(stamp(start), stamp(end))).toEqual([0, laterMs * 1e6]);
      }),
      { numRuns: 100 },
    );
  });

  it('asks for exactly the traced output, as a benchmark client does', async () => {
    const { requests, workload } = await readTrace(traceFile(`${HEADER}2023-11-16 18:15:46,374,44\n`));
    expect(workload.format).toBe('azure-csv');
    expect(requests[0]).toMatchObject({
      outputTokensMax: 44,
      impliedOutputTokens: Number.POSITIVE_INFINITY,
      sampling: GREEDY,
      timeoutNs: Number.POSITIVE_INFINITY,
      priority: 0,
      cacheSalt: 0,
    });
    expect(requests[0]!.prompt.length).toBe(374);
  });

  it('shares no content between rows', async () => {
    const { requests } = await readTrace(traceFile(`${HEADER}2023-11-16 18:15:46,64,4\n2023-11-16 18:15:46,64,4\n`));
    const [first, second] = requests.map((request) => blockKeys(request, 16, 32));
    expect(first!.some((key) => second!.includes(key))).toBe(false);
    expect(new Set(first).size).toBe(6);
  });

  it.each([
    ['2023-11-16 18:15:4x,374,44', '2:1', 'TIMESTAMP', '2023-11-16 18:15:4x'],
    ['2023-13-16 18:15:46,374,44', '2:1', 'TIMESTAMP', '2023-13-16 18:15:46'],
    ['2023-02-29 18:15:46,374,44', '2:1', 'TIMESTAMP', '2023-02-29 18:15:46'],
    ['xx23-11-16 18:15:46,374,44', '2:1', 'TIMESTAMP', 'xx23-11-16 18:15:46'],
    ['xx23-02-28 18:15:46,374,44', '2:1', 'TIMESTAMP', 'xx23-02-28 18:15:46'],
    ['2023-11-16 24:15:46,374,44', '2:1', 'TIMESTAMP', '2023-11-16 24:15:46'],
    ['2023-11-16 18:15:60,374,44', '2:1', 'TIMESTAMP', '2023-11-16 18:15:60'],
    ['2023-11-16 18:15:46.,374,44', '2:1', 'TIMESTAMP', '2023-11-16 18:15:46.'],
    ['2023-11-16 18:15:46+1,374,44', '2:1', 'TIMESTAMP', '2023-11-16 18:15:46+1'],
    ['2023-11-16', '2:1', 'TIMESTAMP', '2023-11-16'],
    ['2023-11-16 18:15:46,0,44', '2:21', 'ContextTokens', '0'],
    ['2023-11-16 18:15:46,-3,44', '2:21', 'ContextTokens', '-3'],
    ['2023-11-16 18:15:46,,44', '2:21', 'ContextTokens', 'missing'],
    ['2023-11-16 18:15:46,3.5,44', '2:21', 'ContextTokens', '3.5'],
    ['2023-11-16 18:15:46,99999999999,44', '2:21', 'ContextTokens', '99999999999'],
    ['2023-11-16 18:15:46,374,0', '2:25', 'GeneratedTokens', '0'],
    ['2023-11-16 18:15:46,374,', '2:25', 'GeneratedTokens', 'missing'],
    ['2023-11-16 18:15:46,374,44,9', '2:25', 'GeneratedTokens', '44,9'],
    ['2023-11-16 18:15:46,374', '2:21', 'ContextTokens', '374'],
  ])('names place, field and value of %s', async (row, place, field, value) => {
    const error = await errorOf(`${HEADER}${row}\n2023-11-16 18:15:47,1,1\n`);
    expect(error?.name).toBe('TraceError');
    expect(error?.message).toContain(`:${place}: field "${field}": value is ${value}; allowed: `);
    expect(error?.message).not.toContain('\n');
  });

  it('rejects a row that goes back in time, naming its line', async () => {
    const error = await errorOf(`${HEADER}2023-11-16 18:15:46.5,3,4\n2023-11-16 18:15:46.25,3,4\n`);
    expect(error?.message).toContain(':3:1: time goes back by 0.25 s; allowed: rows in order of time');
  });
});

describe.skipIf(DATA === undefined)(`public Azure traces${WHY_SKIPPED}`, () => {
  const path = (name: string): string => join(DATA!, 'traces/azure-2023', `AzureLLMInferenceTrace_${name}.csv`);

  it.each([
    ['conv', 19_366, 22_361_870, 4_088_665, 3_501_721_937_000],
    ['code', 8_819, 18_059_974, 245_896, 3_435_948_056_000],
  ])('%s: every row, every token, first and last arrival', async (name, rows, promptTokens, outputTokens, lastNs) => {
    const { requests, workload } = await readTrace(path(name));
    expect(workload.rows).toBe(rows);
    expect(requests.length).toBe(rows);
    expect(requests.reduce((sum, request) => sum + request.prompt.length, 0)).toBe(promptTokens);
    expect(requests.reduce((sum, request) => sum + request.outputTokensMax, 0)).toBe(outputTokens);
    expect(requests[0]!.arrivalNs).toBe(0);
    expect(requests.at(-1)!.arrivalNs).toBe(lastNs);
    expect(requests.every((request, i) => i === 0 || request.arrivalNs >= requests[i - 1]!.arrivalNs)).toBe(true);
  });

  it('is read without a promise', () => {
    const workload = openTrace(path('conv'));
    expect(Array.isArray(workload.next())).toBe(true);
    workload.close();
  });
});
