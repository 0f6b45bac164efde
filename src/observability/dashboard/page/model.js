// What the server has written into the page.

/**
 * @typedef {{ kind: 'target' | 'warning' | 'critical', comparison: '>' | '<', value: number }} Threshold
 * @typedef {{ id: string, title: string, unit: string, thresholds: Threshold[], windowSeconds: number }} Tile
 * @typedef {{ label: string, colour: string, dashed: boolean }} Series
 * @typedef {{ id: string, title: string, kind: 'lines' | 'stacked' | 'heatmap' | 'gauge', unit: string,
 *   thresholds: Threshold[], series: Series[], top: number | null, liveOnly: boolean }} Panel
 * @typedef {{ name: string, severity: 'critical' | 'warning' | 'info', forSeconds: number, summary: string,
 *   runbookUrl: string | null }} Rule
 * @typedef {{ mode: 'live' | 'recorded', tiles: Tile[], panels: Panel[], heatmap: { bounds: number[] }, rules: Rule[] }} Model
 * @typedef {{ t: number, v: (number | null)[], h: number[] }} Frame
 * @typedef {{ alert: string, severity: string, state: 'pending' | 'firing', labels: Record<string, string>,
 *   sinceSeconds: number, value: number | null, summary: string, description: string }} ActiveAlert
 * @typedef {{ alert: string, severity: string, labels: Record<string, string>, pendingSeconds: number,
 *   firingSeconds: number | null, endSeconds: number | null }} AlertInterval
 * @typedef {{ frames: Frame[], whole: (number | null)[], intervals: AlertInterval[] | null }} Recording
 */

/** @param {string} id @returns {HTMLElement} */
export function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {Element | Document} within @param {string} selector @returns {HTMLElement} */
export function part(within, selector) {
  const found = within.querySelector(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return /** @type {HTMLElement} */ (found);
}

/** @param {string} tag @param {string} [text] @param {string} [className] */
export function made(tag, text = '', className = '') {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = className;
  return node;
}

/** @returns {Model} */
export function readModel() {
  return JSON.parse(element('model').textContent ?? '');
}

/** null: frames come from the server. @returns {Recording | null} */
export function readRecording() {
  const found = document.getElementById('recording');
  return found === null ? null : JSON.parse(found.textContent ?? '');
}
