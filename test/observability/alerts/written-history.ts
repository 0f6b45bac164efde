import {
  createMetricsPage,
  MetricsHistory,
  type MetricsPage,
  MetricsSnapshot,
} from '../../../src/observability/index.ts';

export const INTERVAL_SECONDS = 15;

/** A history of so many rows, one every 15 s: `write` fills the page before each of them, those that are `down` have no scrape. */
export function writtenHistory(
  rows: number,
  write: (page: MetricsPage, row: number) => void,
  down: (row: number) => boolean = () => false,
): MetricsHistory {
  const page = createMetricsPage();
  const snapshot = new MetricsSnapshot();
  const history = new MetricsHistory({ rowsMax: Number.POSITIVE_INFINITY, intervalSeconds: INTERVAL_SECONDS });
  for (let row = 0; row < rows; row++) {
    write(page, row);
    snapshot.take(page);
    if (down(row)) history.addDown(row * INTERVAL_SECONDS);
    else history.add(row * INTERVAL_SECONDS, snapshot.cells);
  }
  return history;
}
