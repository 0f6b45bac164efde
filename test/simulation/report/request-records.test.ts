import { describe, expect, it } from 'vitest';
import { RECORD_COLUMNS, RequestRecords } from '../../../src/simulation/report/request-records.ts';
import { finishedSequence, REJECTED } from '../finished-sequence.ts';

function write(format: 'csv' | 'jsonl', count: number): string[] {
  const chunks: string[] = [];
  const records = new RequestRecords(format, (chunk) => chunks.push(chunk));
  for (let id = 0; id < count; id++) records.add(finishedSequence({ id }, id % 2 === 0 ? undefined : REJECTED));
  records.close();
  return chunks;
}

describe('RequestRecords', () => {
  it('writes CSV: a header, then a line of as many values each', () => {
    const lines = write('csv', 3).join('').trimEnd().split('\n');
    expect(lines[0]).toBe(RECORD_COLUMNS.join(','));
    expect(lines).toHaveLength(4);
    expect(lines[1]).toBe(
      '0,0,1000000000,1005000000,1050000000,1150000000,1150000000,5000000,100,11,32,68,0,0,0,0,0,length',
    );
    for (const line of lines) expect(line.split(',')).toHaveLength(RECORD_COLUMNS.length);
  });

  it('writes JSONL: an object with the same columns each', () => {
    const lines = write('jsonl', 2).join('').trimEnd().split('\n');
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(Object.keys(records[0]!)).toEqual([...RECORD_COLUMNS]);
    expect(records[1]).toMatchObject({ requestId: 1, firstTokenNs: -1, finishReason: 'rejected' });
  });

  it('hands on whole lines in chunks, so that memory does not grow with the run', () => {
    const chunks = write('csv', 5000);
    expect(chunks.length).toBeGreaterThan(5);
    for (const chunk of chunks) {
      expect(chunk.endsWith('\n')).toBe(true);
      expect(chunk.length).toBeLessThan(70_000);
    }
  });

  it('writes a header even when nothing finished', () => {
    expect(write('csv', 0)).toEqual([RECORD_COLUMNS.join(',') + '\n']);
    expect(write('jsonl', 0)).toEqual([]);
  });
});
