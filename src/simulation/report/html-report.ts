import { createHash } from 'node:crypto';
import type { PredictionSummary } from '../prediction-summary.ts';
import type { RecordedRun } from '../run-recorder.ts';
import type { RunSummary } from '../run-summary.ts';
import { capacityText, utilizationText } from './capacity-text.ts';
import { escapeHtml } from './escape-html.ts';
import { type ChartData, chartData, HTML_SCRIPT } from './html-charts.ts';
import { HTML_STYLE } from './html-style.ts';
import { predictionNote, predictionRows } from './prediction-rows.ts';
import { countText, durationText, numberText, percentText } from './quantities.ts';
import { actualText } from './text-report.ts';

export interface HtmlReportInput {
  readonly run: RecordedRun;
  readonly summary: RunSummary;
  /** Groups of settings to print, such as the scenario and the engine. */
  readonly settings: readonly SettingsGroup[];
  /** The command line that made this run. */
  readonly command: string;
  /** uPlot's `uPlot.iife.min.js` and `uPlot.min.css`, as text: this code reads no files. */
  readonly uPlotScript: string;
  readonly uPlotStyle: string;
}

export interface SettingsGroup {
  readonly title: string;
  /** Name and value, in order. */
  readonly rows: readonly (readonly [string, string])[];
}

/**
 * One self-contained page: it asks for nothing from anywhere, and its content security policy allows exactly its own
 * scripts and styles, by hash. Everything but the charts is there without JavaScript.
 */
export function htmlReport(input: HtmlReportInput): string {
  const { run, summary } = input;
  const charts = chartData(run.timeSeries, run.kv.blocksTotal);
  // A style or script element ends at its closing tag, wherever that stands; neither has a use for one.
  const style = `${input.uPlotStyle}\n${HTML_STYLE}`.replaceAll('</', '<\\/');
  const scripts = [input.uPlotScript, HTML_SCRIPT].map((script) => script.replaceAll('</script', '<\\/script'));
  const policy = [
    "default-src 'none'",
    `script-src ${scripts.map(hashSource).join(' ')}`,
    `style-src ${hashSource(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(summary.scenario)} · Twinfer</title>
<style>${style}</style>
</head>
<body>
<main>
${header(summary)}
${cards(run, summary)}
${targets(summary)}
<h2>Latency</h2>
${latency(summary)}
<h2>Over simulated time</h2>
${chartPanels(charts)}
<p class="note">Buckets of ${durationText(run.timeSeries.bucketSeconds)}. Drag to zoom, double-click to go back.</p>
<noscript><p class="note">The charts need JavaScript; everything else is here.</p></noscript>
<h2>Books</h2>
<div class="columns">${requestBooks(run, summary)}${tokenBooks(summary)}</div>
<h2>Settings</h2>
<div class="columns">${input.settings.map(settings).join('')}</div>
<h2>Reproduce</h2>
<div class="panel"><pre>${escapeHtml(input.command)}</pre>
<p class="note">Seed ${summary.seed} · digest (${run.digestMode}) <code>${summary.digest}</code></p></div>
</main>
<script type="application/json" id="chart-data">${JSON.stringify(charts).replaceAll('<', '\\u003c')}</script>
${scripts.map((script) => `<script>${script}</script>`).join('\n')}
</body>
</html>
`;
}

/** A CSP source for an inline element (W3C Content Security Policy Level 3, section 2.3.1). */
function hashSource(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function header(summary: RunSummary): string {
  const { timing } = summary;
  const beyond =
    timing.extrapolations.length === 0 ? '' : `; beyond the measured tables: ${timing.extrapolations.join('; ')}`;
  const times = `Times: ${timing.model}, ${timing.device}, host ${timing.host}${beyond}`;
  return `<h1>${escapeHtml(summary.scenario)}</h1>
<p class="lead">${countText(summary.requests.injected)} requests, ${durationText(summary.simulatedSeconds)} simulated in ${durationText(summary.wallSeconds)}</p>
<p class="note">${escapeHtml(times)}</p>`;
}

function cards(run: RecordedRun, summary: RunSummary): string {
  const { latencySeconds: latency, throughput, kv, preemptions } = summary;
  const preempted = preemptions.memoryPressure + preemptions.priority;
  const all = [
    card('Requests/s', numberText(throughput.requestsPerSecond), `${countText(summary.requests.completed)} completed`),
    card(
      'Output tokens/s',
      numberText(throughput.outputTokensPerSecond),
      `${numberText(throughput.totalTokensPerSecond)}/s with prompts`,
    ),
    ...(summary.capacity?.saturated === true
      ? [card('Latencies', 'saturated', 'they grow as long as the load lasts')]
      : [
          card('TTFT p99', durationText(latency.ttft.p99), `median ${durationText(latency.ttft.p50)}`),
          card('ITL p99', durationText(latency.itl.p99), `median ${durationText(latency.itl.p50)}`),
        ]),
    card(
      'KV blocks, peak',
      percentText(kv.blocksUsedPeak / kv.blocksTotal),
      `mean ${percentText(run.kv.blocksUsedMean / kv.blocksTotal)} of ${countText(kv.blocksTotal)}`,
    ),
    card('Prefix hits', percentText(kv.prefixHitRatio), 'of prompt tokens'),
    card('Waiting, peak', countText(run.peaks.waiting), `running ${countText(run.peaks.running)}`),
    card('Preemptions', countText(preempted), `${countText(kv.evictions)} evictions`),
  ];
  return `<div class="cards">${all.join('')}</div>`;
}

function card(label: string, value: string, detail: string): string {
  return `<div class="card"><div class="label">${label}</div><div class="value">${value}</div><div class="detail">${detail}</div></div>`;
}

function targets(summary: RunSummary): string {
  if (summary.targets === undefined) return '';
  const rows = summary.targets.map((target) => {
    const verdict = target.pass ? '<td class="pass">pass</td>' : '<td class="fail">fail</td>';
    return `<tr><th>${escapeHtml(target.name)}</th><td>${escapeHtml(target.target)}</td><td>${actualText(target)}</td>${verdict}</tr>`;
  });
  return `<h2>Targets</h2>
<div class="panel"><table><thead><tr><th>Target</th><th>wanted</th><th>actual</th><th></th></tr></thead>
<tbody>${rows.join('')}</tbody></table></div>`;
}

/** Past saturation only that it is past: latencies there are those of this one length of load. */
function latency(summary: RunSummary): string {
  const { capacity, prediction } = summary;
  const load =
    capacity === null
      ? ''
      : `<div class="panel"><p>${escapeHtml(capacityText(capacity))}</p><p class="note">In use, mean: ${utilizationText(capacity)}.</p></div>`;
  if (capacity?.saturated === true) return load;
  const table = `<div class="panel">${latencyTable(summary)}</div>`;
  return prediction === null ? table : `${table}${intervals(prediction, summary.timing.host)}${load}`;
}

function intervals(prediction: PredictionSummary, host: string): string {
  const rows = predictionRows(prediction).map(
    ([label, value, low, high]) => `<tr><th>${label}</th><td>${value}</td><td>${low}</td><td>${high}</td></tr>`,
  );
  const note = predictionNote(prediction, host);
  const table =
    rows.length === 0
      ? ''
      : `<table><thead><tr><th>90 % interval</th><th>predicted</th><th>from</th><th>to</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
  const line = note === '' ? '' : `<p class="note">Prediction: ${escapeHtml(note)}.</p>`;
  return `<div class="panel">${table}${line}</div>`;
}

/** A row per statistic, since the five latencies fit a phone's width and the six statistics do not. */
function latencyTable(summary: RunSummary): string {
  const head = LATENCIES.map(([label, title]) => `<th title="${title}">${label}</th>`);
  const rows = STATISTICS.map((statistic) => {
    const cells = LATENCIES.map(([, , name]) => `<td>${durationText(summary.latencySeconds[name][statistic])}</td>`);
    return `<tr><th>${statistic}</th>${cells.join('')}</tr>`;
  });
  return `<table><thead><tr><th></th>${head.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

const STATISTICS = ['mean', 'p50', 'p90', 'p95', 'p99', 'max'] as const;

const LATENCIES = [
  ['TTFT', 'Time to first token: from arrival', 'ttft'],
  ['TPOT', 'Time per output token after the first', 'tpot'],
  ['ITL', 'Inter-token latency: each gap counts', 'itl'],
  ['E2E', 'From arrival to end, completed requests', 'e2e'],
  ['Queue', 'Time spent waiting', 'queue'],
] as const;

function chartPanels(data: ChartData): string {
  const panels = data.charts.map((chart, i) => {
    const label = `${chart.title} over simulated time: ${chart.series.map((series) => series.label).join(', ')}`;
    return `<div class="panel"><h3>${chart.title}</h3><div class="chart" data-chart="${i}" role="img" aria-label="${label}"></div></div>`;
  });
  return `<div class="charts">${panels.join('')}</div>`;
}

function requestBooks(run: RecordedRun, summary: RunSummary): string {
  const { injected, completed, rejected, aborted, timedOut, failed } = summary.requests;
  const refusals = Object.entries(run.rejections).map(([reason, count]) => `${countText(count)} ${reason}`);
  return booksPanel('Requests', [
    ['injected', injected, true],
    ['completed', completed, false],
    [refusals.length > 0 ? `rejected (${refusals.join(', ')})` : 'rejected', rejected, false],
    ['aborted', aborted, false],
    ['timed out', timedOut, false],
    ['failed', failed, false],
  ]);
}

function tokenBooks(summary: RunSummary): string {
  const { prompt, cachedPrompt, recomputedPrompt, scheduledPrompt, output } = summary.tokens;
  return booksPanel('Tokens', [
    ['prompt', prompt, false],
    ['− cached', cachedPrompt, false],
    ['+ recomputed', recomputedPrompt, false],
    ['= scheduled', scheduledPrompt, true],
    ['output', output, false],
    ['output recomputed', summary.books.recomputedOutput, false],
  ]);
}

function booksPanel(title: string, rows: readonly (readonly [string, number, boolean])[]): string {
  const body = rows.map(
    ([name, value, total]) =>
      `<tr${total ? ' class="total"' : ''}><td>${escapeHtml(name)}</td><td>${countText(value)}</td></tr>`,
  );
  return `<div class="panel"><h3>${title}</h3><table><tbody>${body.join('')}</tbody></table></div>`;
}

function settings(group: SettingsGroup): string {
  const rows = group.rows.map(([name, value]) => `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(value)}</td></tr>`);
  return `<div class="panel settings"><h3>${escapeHtml(group.title)}</h3><table><tbody>${rows.join('')}</tbody></table></div>`;
}
