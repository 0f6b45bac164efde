import { createHash } from 'node:crypto';
import type { AlertSeverity } from '../alerts/index.ts';
import { PLACES } from '../page-layout.ts';
import { HEATMAP_METRIC } from './dashboard-frames.ts';
import { type PanelDefinition, type PanelRow, panelMetrics, type TileDefinition } from './panel-definition.ts';
import { metricsOf } from './panel-expression.ts';
import { thresholdText, windowText } from './panel-text.ts';
import { PANELS, ROW_TITLES } from './panels.ts';
import { TILES } from './tiles.ts';

/** A rule as the page lists it. */
export interface DashboardRule {
  readonly name: string;
  readonly severity: AlertSeverity;
  readonly forSeconds: number;
  readonly summary: string;
  /** What to do; null = there is no address. */
  readonly runbookUrl: string | null;
}

/** Texts of the page's own files and uPlot's: this code reads no files. */
export interface DashboardAssets {
  /** Modules in the order of their imports; see `bundled`. */
  readonly scripts: readonly string[];
  readonly style: string;
  readonly uPlotScript: string;
  readonly uPlotStyle: string;
}

export interface DashboardPageInput {
  readonly assets: DashboardAssets;
  readonly mode: 'live' | 'recorded';
  /** Whose figures these are: model, scenario, file. */
  readonly title: string;
  /** Said beside it: backend, duration. */
  readonly detail: string;
  readonly rules: readonly DashboardRule[];
  /** What is drawn, of a recording; null = it comes by `dashboard/stream`. Plain JSON. */
  readonly recording: object | null;
}

export interface DashboardPage {
  readonly html: string;
  /** The content security policy, also in the page itself: allows its own scripts and styles, by hash, and nothing else. */
  readonly policy: string;
}

/** One self-contained page, the same for a server, a recording and a simulated run. */
export function dashboardPage(input: DashboardPageInput): DashboardPage {
  const { assets, mode } = input;
  const scripts = [assets.uPlotScript, bundled(assets.scripts)].map((text) =>
    text.replaceAll('</script', '<\\/script'),
  );
  const style = `${assets.uPlotStyle}\n${assets.style.replace(/\n\s+/g, '\n')}`.replaceAll('</', '<\\/');
  const policy = [
    "default-src 'none'",
    `script-src ${scripts.map(hashSource).join(' ')}`,
    `style-src ${hashSource(style)}`,
    'img-src data:',
    ...(mode === 'live' ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const model = {
    mode,
    tiles: TILES.map(tileModel),
    panels: PANELS.map(panelModel),
    heatmap: heatmapModel(),
    rules: input.rules,
  };
  const html = `<!doctype html>
<html lang="en" data-mode="${mode}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(input.title)} · Twinfer</title>
<link rel="icon" href="${ICON}">
<style>${style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the figures</a>
${header(input)}
<main id="main" tabindex="-1">
${alertStrip(input)}
<section class="tiles" aria-label="Key figures">${TILES.map(tile).join('')}</section>
${(Object.keys(ROW_TITLES) as PanelRow[]).map(row).join('\n')}
</main>
<footer><p>Prometheus reads the same figures from <code>/metrics</code>. Arrow keys move the crosshair of a focused chart, drag to zoom, double-click or Escape to go back.</p></footer>
<p id="announce" class="unseen" aria-live="polite"></p>
<noscript><p class="note">The dashboard needs JavaScript; it asks for nothing but its own server.</p></noscript>
${jsonElement('model', model)}
${input.recording === null ? '' : jsonElement('recording', input.recording)}
${scripts.map((script) => `<script>${script}</script>`).join('\n')}
</body>
</html>
`;
  return { html, policy };
}

/**
 * The modules as one script: their imports are of each other only, and their names differ. Comments that have a line of their own
 * and indentation stay behind; no text of these files goes over several lines.
 */
function bundled(modules: readonly string[]): string {
  const bodies = modules.map((text) =>
    text
      .replace(/^import [^;]*;\n/gm, '')
      .replace(/^export (?=(?:async )?(?:function|const|let|class) )/gm, '')
      .replace(/^\s*\/\*[\s\S]*?\*\/\s*$/gm, '')
      .replace(/^\s*\/\/.*$/gm, '')
      .replace(/\n\s+/g, '\n'),
  );
  return `(() => {\n'use strict';\n${bodies.join('\n')}\n})();`;
}

/** A CSP source for an inline element (W3C Content Security Policy Level 3, section 2.3.1). */
function hashSource(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function jsonElement(id: string, value: object): string {
  return `<script type="application/json" id="${id}">${JSON.stringify(value).replaceAll('<', '\\u003c')}</script>`;
}

const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#2563eb"/><path d="M3 11l3-5 3 3 4-6" fill="none" stroke="#fff" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/></svg>',
)}`;

function header({ mode, title, detail }: DashboardPageInput): string {
  const ranges =
    mode === 'live' ? LIVE_RANGES : '<button type="button" data-range="full" aria-pressed="true">Full</button>';
  const pause = mode === 'live' ? '<button type="button" id="pause" aria-pressed="false">Pause</button>' : '';
  const connection =
    mode === 'live'
      ? '<p class="connection" id="connection" data-state="connecting"><span class="dot" aria-hidden="true"></span><span id="connection-text" role="status">connecting</span><time id="clock"></time></p>'
      : '<p class="connection" id="connection" data-state="recorded"><span class="dot" aria-hidden="true"></span><span id="connection-text">whole run</span><time id="clock"></time></p>';
  return `<header class="bar">
<div class="subject"><h1>${escapeHtml(title)}</h1><p>${escapeHtml(detail)}</p></div>
${connection}
<div class="controls" role="toolbar" aria-label="View">
<div class="segmented" role="group" aria-label="Time range">${ranges}</div>
${pause}
<button type="button" id="tables" aria-pressed="false">Tables</button>
<button type="button" id="theme" aria-label="Colours: as the system"><span aria-hidden="true">◐</span></button>
</div>
</header>`;
}

const LIVE_RANGES = [
  ['60', '1 min'],
  ['300', '5 min'],
  ['900', '15 min'],
]
  .map(
    ([seconds, text]) =>
      `<button type="button" data-range="${seconds}" aria-pressed="${seconds === '900'}">${text}</button>`,
  )
  .join('');

function alertStrip({ mode, rules }: DashboardPageInput): string {
  const lanes =
    mode === 'recorded' ? '<div class="lanes" id="lanes" role="img" aria-label="Alerts over time" hidden></div>' : '';
  return `<section class="alerts" id="alerts" aria-labelledby="alerts-title" data-state="none">
<div class="alerts-head"><h2 id="alerts-title">Alerts</h2><p id="alerts-summary" role="status">${rules.length === 0 ? 'no rules' : 'not evaluated yet'}</p>
<ul id="alerts-active" aria-label="Pending and firing alerts"></ul></div>
${lanes}
<details id="alerts-all"><summary>All rules</summary><div class="scroll"><table><thead><tr><th scope="col">Alert</th><th scope="col">State</th><th scope="col">Severity</th><th scope="col">Since</th><th scope="col">Value</th><th scope="col">For</th></tr></thead><tbody id="alerts-rules"></tbody></table></div></details>
</section>`;
}

function tile({ id, title, ...rest }: TileDefinition): string {
  const help = helpOf(`tile-${id}`, title, rest.help, metricsOf(rest.expression), rest);
  return `<article class="tile" id="tile-${id}" data-state="none" aria-labelledby="tile-${id}-title">
<div class="tile-head"><h3 id="tile-${id}-title">${escapeHtml(title)}</h3>${help}</div>
<p class="value"><span class="number">&nbsp;</span></p>
<p class="verdict">&nbsp;</p>
<canvas class="spark" aria-hidden="true"></canvas>
</article>`;
}

function row(name: PanelRow): string {
  const panels = PANELS.filter((panel) => panel.row === name);
  if (panels.length === 0) return '';
  return `<section class="row" data-row="${name}" aria-labelledby="row-${name}"><h2 id="row-${name}">${ROW_TITLES[name]}</h2>
<div class="grid">${panels.map(panelElement).join('')}</div></section>`;
}

function panelElement(panel: PanelDefinition): string {
  const { id, title, kind } = panel;
  const gauge = kind === 'gauge' ? '<div class="gauge" aria-hidden="true"></div>' : '';
  return `<article class="panel" id="panel-${id}" data-kind="${kind}" aria-labelledby="panel-${id}-title">
<div class="panel-head"><h3 id="panel-${id}-title">${escapeHtml(title)}</h3>${helpOf(`panel-${id}`, title, panel.help, panelMetrics(panel), panel)}<ul class="legend"></ul></div>
<div class="plot-row">${gauge}<div class="plot" tabindex="0" role="img" aria-roledescription="chart" aria-label="${escapeHtml(title)}" aria-describedby="panel-${id}-help"></div><p class="empty" hidden>no traffic</p></div>
<div class="scroll table" tabindex="0" role="region" aria-label="${escapeHtml(title)}, as a table" hidden></div>
</article>`;
}

function helpOf(
  id: string,
  title: string,
  help: string,
  metrics: readonly string[],
  panel: Pick<PanelDefinition, 'unit' | 'windowSeconds' | 'thresholds'>,
): string {
  const names = metrics.map((name) => `<code>${name}</code>`).join(' ');
  const targets = panel.thresholds.map((threshold) => thresholdText(threshold, panel.unit)).join('; ');
  const facts = [
    `<div><dt>Metric</dt><dd>${names}</dd></div>`,
    `<div><dt>Window</dt><dd>${windowText(panel.windowSeconds)}</dd></div>`,
    `<div><dt>Keep to</dt><dd>${targets === '' ? 'no target' : escapeHtml(targets)}</dd></div>`,
  ];
  return `<span class="info"><button type="button" aria-label="About ${escapeHtml(title)}" aria-describedby="${id}-help">i</button><div class="help" role="tooltip" id="${id}-help"><p>${escapeHtml(help)}</p><dl>${facts.join('')}</dl></div></span>`;
}

function tileModel({ id, title, unit, thresholds, windowSeconds }: TileDefinition) {
  return { id, title, unit, thresholds, windowSeconds };
}

function panelModel({ id, title, kind, unit, thresholds, series, top, liveOnly = false }: PanelDefinition) {
  const lines = series.map(({ label, colour, dashed = false }) => ({ label, colour, dashed }));
  return { id, title, kind, unit, thresholds, series: lines, top: top ?? null, liveOnly };
}

function heatmapModel() {
  return { bounds: PLACES.get(HEATMAP_METRIC)!.definition.buckets! };
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
