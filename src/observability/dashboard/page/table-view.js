// Each chart as a table: for screen readers, and for copying.

import { formatTime, formatValue } from './format.js';
import { made, part } from './model.js';

const ROWS_MAX = 16;

/** @param {string[]} texts @param {boolean} head */
function line(texts, head) {
  const row = made('tr');
  for (const [index, text] of texts.entries()) {
    const cell = made(head || index === 0 ? 'th' : 'td', text);
    if (head) cell.setAttribute('scope', 'col');
    else if (index === 0) cell.setAttribute('scope', 'row');
    row.append(cell);
  }
  return row;
}

/**
 * Writes what a chart shows, evenly thinned out, newest first.
 * @param {import('./chart.js').Chart} chart
 */
export function writeTable(chart) {
  const { article, panel, store, view, legend } = chart;
  const place = part(article, '.table');
  const from = store.indexAt(view.range.min);
  const to = store.indexAt(view.range.max);
  const step = Math.max(1, Math.ceil((to - from + 1) / ROWS_MAX));
  const shown = panel.series.map((_, index) => index).filter((index) => legend[index]?.item.hidden !== true);
  const table = made('table');
  const head = made('thead');
  head.append(line(['time', ...shown.map((index) => panel.series[index]?.label ?? '')], true));
  const body = made('tbody');
  for (let at = to; at >= from && store.length > 0; at -= step) {
    const texts = shown.map((index) => formatValue(chart.values(index)[at], panel.unit));
    body.append(line([formatTime(store.times[at] ?? 0), ...texts], false));
  }
  table.append(head, body);
  place.replaceChildren(table);
}
