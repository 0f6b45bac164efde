import { createHash } from 'node:crypto';
import { ALERT_RULES } from '../../observability/alerts/index.ts';
import { HTML_STYLE } from '../../simulation/report/html-style.ts';
import type { AlertsTest } from './alerts-test.ts';
import type { AlertQuality } from './judge-alerts.ts';

/** Geometry of the picture, in its own units; the page scales it. */
const WIDTH = 1140;
const LEFT = 190;
/** Half a label of the axis. */
const RIGHT = 24;
const ROW = 22;
const BAR = 8;
const AXIS = 24;
/** Bars of an instant are as wide. */
const WIDTH_MIN = 2;
const TICK_STEPS = [60, 300, 600, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

const STYLE = `${HTML_STYLE}
svg { display: block; width: 100%; min-width: 760px; height: auto; font-size: 12px; }
svg text { fill: var(--text); } svg .soft { fill: var(--soft); } svg line { stroke: var(--grid); }
.violation { fill: var(--series-2); opacity: .45; } .incident { fill: var(--soft); }
.pending { fill: var(--series-1); opacity: .4; } .firing { fill: var(--series-1); }
.key { display: inline-block; width: 18px; height: 8px; border-radius: 2px; margin: 0 6px 0 14px; }
.key.violation { background: var(--series-2); } .key.incident { background: var(--soft); margin-left: 0; }
.key.pending, .key.firing { background: var(--series-1); }
`;

/** One self-contained page without scripts: what happened, what was violated and what the alerts said, over time; and the figures. */
export function alertsHtml(test: AlertsTest): string {
  const style = STYLE.replaceAll('</', '<\\/');
  const hash = createHash('sha256').update(style).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Alerts of ${escapeHtml(test.name)} · Twinfer</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>Alerts of ${escapeHtml(test.name)}</h1>
<p class="lead">${clock(test.endSeconds)} judged at ${test.rows} scrapes, one every ${test.intervalSeconds} s</p>
<h2>Over time</h2>
<div class="panel">${timeline(test)}
<p class="note"><span class="key incident"></span>what happened<span class="key violation"></span>what was really
violated<span class="key pending"></span>alert pending<span class="key firing"></span>alert firing</p></div>
${test.judgements === null ? '' : `<h2>Against what really happened</h2><div class="panel">${qualities(test)}</div>`}
${expectations(test)}
</main>
</body>
</html>
`;
}

/** Incidents on top, then one row for each alert that was ever pending or violated. */
function timeline(test: AlertsTest): string {
  const alerts = ALERT_RULES.map((rule) => rule.name).filter(
    (name) =>
      test.intervals.some(({ alert }) => alert === name) ||
      (test.judgements ?? []).some(({ alert, violations }) => alert === name && violations.length > 0),
  );
  const rows = test.incidents.length + alerts.length;
  const height = AXIS + rows * ROW + 4;
  const parts = [ticks(test.endSeconds, height)];
  test.incidents.forEach(({ name, fromSeconds, toSeconds }, row) => {
    parts.push(label(name, row, 'soft'), bar(test, row, 'incident', name, fromSeconds, toSeconds, 0));
  });
  alerts.forEach((name, index) => {
    const row = test.incidents.length + index;
    parts.push(label(name, row, ''));
    const judgement = (test.judgements ?? []).find(({ alert }) => alert === name);
    for (const { fromSeconds, toSeconds } of judgement?.violations ?? []) {
      parts.push(bar(test, row, 'violation', `${name} violated`, fromSeconds, toSeconds, -BAR / 2));
    }
    for (const one of test.intervals.filter(({ alert }) => alert === name)) {
      const end = one.endSeconds ?? test.endSeconds;
      const firing = one.firingSeconds ?? end;
      parts.push(bar(test, row, 'pending', `${name} pending`, one.pendingSeconds, firing, BAR / 2));
      if (one.firingSeconds !== null) parts.push(bar(test, row, 'firing', `${name} firing`, firing, end, BAR / 2));
    }
  });
  const title = `Incidents, violations and alerts of ${escapeHtml(test.name)} over time`;
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">${parts.join('')}</svg>`;
}

function place(seconds: number, endSeconds: number): number {
  return LEFT + ((WIDTH - LEFT - RIGHT) * seconds) / endSeconds;
}

function ticks(endSeconds: number, height: number): string {
  const step = TICK_STEPS.find((each) => endSeconds / each <= 12) ?? TICK_STEPS.at(-1)!;
  let text = '';
  for (let seconds = 0; seconds <= endSeconds; seconds += step) {
    const x = place(seconds, endSeconds).toFixed(1);
    const anchor = `<text class="soft" x="${x}" y="12" text-anchor="middle">${clock(seconds).slice(0, 5)}</text>`;
    text += `<line x1="${x}" y1="${AXIS - 6}" x2="${x}" y2="${height}"/>${anchor}`;
  }
  return text;
}

function label(text: string, row: number, kind: string): string {
  const y = AXIS + row * ROW + ROW / 2 + 4;
  return `<text class="${kind}" x="${LEFT - 12}" y="${y}" text-anchor="end">${escapeHtml(text)}</text>`;
}

function bar(
  { endSeconds }: AlertsTest,
  row: number,
  kind: 'incident' | 'violation' | 'pending' | 'firing',
  what: string,
  fromSeconds: number,
  toSeconds: number,
  shift: number,
): string {
  const x = place(fromSeconds, endSeconds);
  const width = Math.max(WIDTH_MIN, place(Math.min(toSeconds, endSeconds), endSeconds) - x);
  const y = AXIS + row * ROW + (ROW - BAR) / 2 + shift;
  const title = `<title>${escapeHtml(what)}: ${clock(fromSeconds)} to ${clock(toSeconds)}</title>`;
  return `<rect class="${kind}" x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}">${title}</rect>`;
}

function qualities({ judgements }: AlertsTest): string {
  const cell = (quality: AlertQuality | null) =>
    quality === null
      ? '-'
      : `${quality.firings}, ${Math.round(quality.firingSeconds / 60)} min, ${percent(quality.precision)}, ${percent(quality.recall)}`;
  const rows = judgements!.map(({ alert, violations, quality, lower, higher }) => {
    const delay = quality.delaysSeconds.length === 0 ? '-' : `${Math.max(...quality.delaysSeconds)} s`;
    const cells = [String(violations.length), cell(quality), delay, cell(lower), cell(higher)];
    return `<tr><th scope="row">${escapeHtml(alert)}</th>${cells.map((text) => `<td>${text}</td>`).join('')}</tr>`;
  });
  const head = [
    'alert',
    'violations',
    'firings, time, precision, recall',
    'longest delay',
    '10 % lower',
    '10 % higher',
  ];
  const titles = head.map((text) => `<th scope="col">${text}</th>`).join('');
  return `<table><thead><tr>${titles}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function expectations({ expectations: all }: AlertsTest): string {
  if (all.length === 0) return '';
  const rows = all.map(
    ({ alert, expected, met }) =>
      `<tr><th scope="row">${escapeHtml(alert)}</th><td>${expected}</td><td class="${met ? 'pass' : 'fail'}">${met ? 'met' : 'not met'}</td></tr>`,
  );
  const head =
    '<thead><tr><th scope="col">alert</th><th scope="col">expected</th><th scope="col">result</th></tr></thead>';
  return `<h2>What the scenario expects</h2><div class="panel"><table>${head}<tbody>${rows.join('')}</tbody></table></div>`;
}

function percent(share: number | null): string {
  return share === null ? '-' : `${Math.round(100 * share)} %`;
}

function clock(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
