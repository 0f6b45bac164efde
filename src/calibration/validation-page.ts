import { predictionInterval } from '../simulation/prediction-intervals.ts';
import { escapeHtml } from '../simulation/report/escape-html.ts';
import { HTML_STYLE } from '../simulation/report/html-style.ts';
import { type ScatterPlot, scatterPlot } from './scatter-plot.ts';
import {
  type MetricSummary,
  type ValidatedMetric,
  type ValidatedStage,
  type ValidationSummary,
  worstStages,
} from './serving-validation.ts';

export interface ValidationPageInput {
  readonly stages: readonly ValidatedStage[];
  readonly summary: ValidationSummary;
  readonly leaveOneModelOut: boolean;
  readonly wallSeconds: number;
  /** The command line that made it. */
  readonly command: string;
}

type ComparedStage = ValidatedStage & {
  readonly errors: NonNullable<ValidatedStage['errors']>;
  readonly predictedMs: NonNullable<ValidatedStage['predictedMs']>;
};

const METRICS: readonly (readonly [ValidatedMetric, string])[] = [
  ['ttftMean', 'TTFT mean'],
  ['ttftP90', 'TTFT p90'],
  ['ttftP99', 'TTFT p99'],
  ['tpotMean', 'TPOT'],
  ['e2eMean', 'E2E mean'],
  ['e2eP99', 'E2E p99'],
];

const WORST_COUNT = 10;

/** Colours of models: apart in lightness as well as in hue, on light and on dark pages. */
const COLOURS = [
  '#2563eb',
  '#c2410c',
  '#0f9d76',
  '#a21caf',
  '#b8860b',
  '#e11d48',
  '#0891b2',
  '#65a30d',
  '#7c3aed',
  '#78716c',
];

const STYLE = `${HTML_STYLE}
svg { display: block; width: 100%; height: auto; }
svg .grid { stroke: var(--grid); } svg .truth { stroke: var(--soft); stroke-dasharray: 4 4; }
svg text { fill: var(--soft); font-size: 11px; } svg .axis { font-size: 12px; }
svg .interval { stroke: currentColor; opacity: 0.45; } svg .full { fill: currentColor; fill-opacity: 0.75; }
svg .hollow { fill: none; stroke: currentColor; stroke-width: 1.8; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; padding: 0; list-style: none; font-size: 13px; }
.legend b { font-size: 16px; line-height: 1; }
${COLOURS.map((colour, i) => `.m${i} { color: ${colour}; }`).join('\n')}
`;

/**
 * One self-contained page without a script: what was measured against what was predicted, by metric, model and load, every stage with its
 * errors and intervals, and the stages that are farthest off.
 */
export function validationPage(input: ValidationPageInput): string {
  const { stages, summary } = input;
  const compared = stages.filter(
    (stage): stage is ComparedStage => stage.errors !== null && stage.predictedMs !== null,
  );
  const models = [...new Set(stages.map(({ model }) => model))];
  const plots = (kind: ScatterPlot['kind']) =>
    METRICS.map(([metric, title]) => panel(title, scatterPlot(plotOf(kind, metric, title, compared, models)))).join('');
  const left = input.leaveOneModelOut ? 'each model predicted by a fit without it' : 'with the profile as it is';
  const count = (status: ValidatedStage['status']) => stages.filter((stage) => stage.status === status).length;
  const counts = `${stages.length} stages in ${input.wallSeconds.toFixed(1)} s: ${count('compared')} compared, ${count('saturated')} saturated, ${count('skipped')} skipped; ${left}`;
  const nothing = '<p class="note">No stage could be compared.</p>';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Validation · Twinfer</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Predicted against measured</h1>
<p class="lead">${counts}</p>
<h2>Errors by metric</h2>
<div class="panel">${summaryTable(summary)}</div>
<h2>Predicted against measured, ms</h2>
${legend(models)}
${compared.length === 0 ? nothing : `<div class="charts">${plots('equality')}</div>`}
<h2>Error by load</h2>
${compared.length === 0 ? nothing : `<div class="charts">${plots('error')}</div>`}
<h2>The stages that are farthest off</h2>
<div class="panel">${worstTable(stages)}</div>
<h2>All stages</h2>
<div class="panel">${stageTable(stages)}</div>
<h2>Reproduce</h2>
<div class="panel"><pre>${escapeHtml(input.command)}</pre></div>
</main>
</body>
</html>
`;
}

function plotOf(
  kind: ScatterPlot['kind'],
  metric: ValidatedMetric,
  title: string,
  stages: readonly ComparedStage[],
  models: readonly string[],
): ScatterPlot {
  const points = stages.map((stage) => {
    const measured = stage.measuredMs[metric];
    const predicted = stage.predictedMs[metric];
    const bounds = boundsOf(stage, metric);
    const label = `${shortModel(stage.model)} x ${stage.tensorParallel}, ${loadText(stage)}: measured ${msText(measured)}, predicted ${msText(predicted)} (${signed(stage.errors[metric])})`;
    const about = { series: models.indexOf(stage.model) % COLOURS.length, hollow: stage.cold, label };
    if (kind === 'equality') return { x: measured, y: predicted, interval: bounds, ...about };
    return { x: stage.ratePerSecond, y: stage.errors[metric], interval: null, ...about };
  });
  return kind === 'equality'
    ? { title, kind, xLabel: 'measured, ms', yLabel: 'predicted, ms', points }
    : { title, kind, xLabel: 'requests per second', yLabel: 'predicted / measured - 1', points };
}

function boundsOf(stage: ComparedStage, metric: ValidatedMetric) {
  const halfWidth = stage.halfWidths?.[metric] ?? null;
  return halfWidth === null ? null : predictionInterval(stage.predictedMs[metric], halfWidth);
}

function legend(models: readonly string[]): string {
  const entries = models.map(
    (model, i) => `<li><b class="m${i % COLOURS.length}">●</b> ${escapeHtml(shortModel(model))}</li>`,
  );
  return `<ul class="legend">${entries.join('')}<li><b>○</b> with first-time prompts</li><li>bars: 90 % intervals</li></ul>`;
}

function summaryTable(summary: ValidationSummary): string {
  const rows = (Object.entries(summary) as [string, MetricSummary][]).map(
    ([metric, figures]) =>
      `<tr><th>${metric}</th><td>${figures.count}</td><td>${percent(figures.medianAbsError)}</td><td>${percent(figures.meanAbsError)}</td><td>${percent(figures.p90AbsError)}</td><td>${signed(figures.bias)}</td><td>${percent(figures.coverage)}</td><td>${percent(figures.halfWidth)}</td></tr>`,
  );
  return tableOf(['metric', 'stages', 'median', 'mean', 'p90', 'bias', 'inside 90 %', 'half-width'], rows);
}

function worstTable(stages: readonly ValidatedStage[]): string {
  const rows = worstStages(stages, WORST_COUNT).map(
    ({ model, workload, stage, ratePerSecond, metric, error }) =>
      `<tr><td>${escapeHtml(shortModel(model))}</td><td>${escapeHtml(`${workload} ${stage}, ${ratePerSecond}/s`)}</td><td>${metric}</td><td>${signed(error)}</td></tr>`,
  );
  return tableOf(['model', 'load', 'metric', 'error'], rows);
}

function stageTable(stages: readonly ValidatedStage[]): string {
  const rows = stages.map((stage) => {
    const about = `<td>${escapeHtml(`${shortModel(stage.model)} x ${stage.tensorParallel}`)}</td><td>${escapeHtml(stage.hardware)}</td><td>${escapeHtml(loadText(stage))}</td>`;
    if (stage.errors === null || stage.predictedMs === null) {
      return `<tr>${about}<td colspan="${METRICS.length}">${stage.status}: ${escapeHtml(stage.reason ?? '')}</td></tr>`;
    }
    const compared = stage as ComparedStage;
    const cells = METRICS.map(([metric]) => {
      const bounds = boundsOf(compared, metric);
      const interval = bounds === null ? '' : `, 90 %: ${msText(bounds.low)} to ${msText(bounds.high)}`;
      const detail = `measured ${msText(stage.measuredMs[metric])}, predicted ${msText(compared.predictedMs[metric])}${interval}`;
      const halfWidth = stage.halfWidths?.[metric] ?? null;
      const width = halfWidth === null ? '' : ` <span class="note">± ${percent(halfWidth)}</span>`;
      return `<td title="${detail}">${signed(compared.errors[metric])}${width}</td>`;
    });
    return `<tr>${about}${cells.join('')}</tr>`;
  });
  return tableOf(['model', 'hardware', 'load', ...METRICS.map(([, title]) => title)], rows);
}

function tableOf(head: readonly string[], rows: readonly string[]): string {
  const names = head.map((name) => `<th>${name}</th>`).join('');
  return `<table><thead><tr>${names}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function panel(title: string, content: string): string {
  return `<div class="panel"><h3>${title}</h3>${content}</div>`;
}

function loadText(stage: ValidatedStage): string {
  return `${stage.workload} ${stage.stage}, ${stage.ratePerSecond}/s${stage.cold ? ', cold' : ''}`;
}

function shortModel(model: string): string {
  return model.replace(/^.*\//, '');
}

function msText(ms: number): string {
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

function percent(ratio: number | null): string {
  return ratio === null || Number.isNaN(ratio) ? '-' : `${(100 * ratio).toFixed(1)} %`;
}

function signed(ratio: number): string {
  return Number.isNaN(ratio) ? '-' : `${ratio < 0 ? '−' : '+'}${Math.abs(100 * ratio).toFixed(1)} %`;
}
