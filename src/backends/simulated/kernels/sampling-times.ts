import type { SamplingTable } from '../device-profile.ts';
import { beyond, gridPlace, valueAt } from './grid.ts';

/** Times of sampling 0 .. rowsMax rows (0 at 0), ns: linear between measured points, in proportion beyond them. */
export function samplingByRows(table: SamplingTable, vocabSize: number, rowsMax: number): Float64Array {
  const { vocabs, rows, timesNs } = table;
  const vocab = gridPlace(vocabs, vocabSize);
  const low = Math.floor(vocab);
  const share = vocab - low;
  const factor = beyond(vocabs, vocabSize);
  const times = new Float64Array(rowsMax + 1);
  for (let row = 1; row <= rowsMax; row++) {
    const place = gridPlace(rows, row);
    const a = valueAt(timesNs, place, low * rows.length);
    const b = share === 0 ? a : valueAt(timesNs, place, (low + 1) * rows.length);
    times[row] = (a + share * (b - a)) * factor * beyond(rows, row);
  }
  return times;
}
