import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CELLS_TOTAL, cellOf, MetricsHistory } from '../../src/observability/index.ts';

const CELL = cellOf('scheduler_waiting_queue_size');

function filled(rows: number, rowsMax: number): MetricsHistory {
  const history = new MetricsHistory({ rowsMax, intervalSeconds: 1 });
  const cells = new Float64Array(CELLS_TOTAL);
  for (let i = 0; i < rows; i++) {
    cells[CELL] = 10 * i;
    history.add(i, cells);
  }
  return history;
}

it('gives back the last rows in order, however many were added', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2500 }), fc.integer({ min: 1, max: 1100 }), (rows, rowsMax) => {
      const history = filled(rows, rowsMax);
      expect(history.length).toBe(Math.min(rows, rowsMax));
      for (const row of [0, Math.floor(history.length / 2), history.length - 1]) {
        if (row < 0 || row >= history.length) continue;
        const added = rows - history.length + row;
        expect(history.timeSeconds(row)).toBe(added);
        expect(history.value(row, CELL)).toBe(10 * added);
        expect(history.row(row)[CELL]).toBe(10 * added);
      }
    }),
    { numRuns: 20 },
  );
});

it('keeps everything without a bound', () => {
  const history = filled(2100, Number.POSITIVE_INFINITY);
  expect(history.length).toBe(2100);
  expect(history.value(2099, CELL)).toBe(20_990);
});

it('refuses a row that it does not have', () => {
  expect(() => filled(3, 10).value(3, CELL)).toThrow(/row 3 is not allowed; there are 3/);
});
