import { SCRAPE_LABELS } from './alerts/expression-evaluation.ts';
import type { MetricName } from './catalogue.ts';
import type { MetricsHistory } from './metrics-history.ts';
import type { InfoLabels } from './metrics-page.ts';
import { type MetricPlace, PLACES } from './page-layout.ts';

export interface OpenMetricsOptions {
  readonly scrapeLabels?: { readonly job: string; readonly instance: string };
  /** Seconds since 1970 of the history's time 0. */
  readonly startSeconds?: number;
  /** Metrics that are written; default all. */
  readonly metrics?: ReadonlySet<MetricName>;
}

/**
 * A history as scrapes one after another in the OpenMetrics format, one text per row, for `promtool tsdb create-blocks-from
 * openmetrics`: time in seconds, ascending, `up` with each scrape, `# EOF` at the end. A series without a sample in a row has no line
 * there; there are no stale markers.
 */
export function* openMetricsOf(history: MetricsHistory, options: OpenMetricsOptions = {}): Iterable<string> {
  const { scrapeLabels = SCRAPE_LABELS, startSeconds = 0, metrics } = options;
  const families = [...PLACES.values()]
    .filter(({ definition }) => metrics === undefined || metrics.has(definition.name))
    .map((place) => family(place, scrapeLabels));
  const up = `# TYPE up gauge\nup${braces(scrapeLabels)} `;
  for (let row = 0; row < history.length; row++) {
    const at = ` ${timestamp(startSeconds + history.timeSeconds(row))}\n`;
    let text = `${up}${history.up(row) ? 1 : 0}${at}`;
    if (history.up(row)) {
      const cells = history.row(row);
      for (const write of families) text += write(cells, at, history.info);
    }
    yield text;
  }
  yield '# EOF\n';
}

type FamilyWriter = (cells: Float64Array, at: string, info: InfoLabels | null) => string;

function family({ definition, at: first, series, stride }: MetricPlace, scrapeLabels: InfoLabels): FamilyWriter {
  const { name, type } = definition;
  const head = `# TYPE ${type === 'counter' ? name.replace(/_total$/, '') : name} ${type === 'info' ? 'gauge' : type}\n`;
  const labelNames = (definition.labels ?? []).map((label) => label.name);
  const labelsOf = (values: readonly string[]): InfoLabels => ({
    ...scrapeLabels,
    ...Object.fromEntries(labelNames.map((label, i) => [label, values[i]!])),
  });
  if (type === 'info') {
    return (_cells, at, info) => (info === null ? '' : `${head}${name}${braces({ ...scrapeLabels, ...info })} 1${at}`);
  }
  if (type !== 'histogram') {
    const prefixes = series.map((values) => `${name}${braces(labelsOf(values))} `);
    return (cells, at) => {
      let lines = '';
      for (let i = 0; i < prefixes.length; i++) {
        const value = cells[first + i]!;
        if (!Number.isNaN(value)) lines += `${prefixes[i]}${numberText(value)}${at}`;
      }
      return lines === '' ? '' : head + lines;
    };
  }
  const bounds = [...definition.buckets!.map(String), '+Inf'];
  const prefixes = series.map((values) => [
    ...bounds.map((le) => `${name}_bucket${braces({ ...labelsOf(values), le })} `),
    `${name}_count${braces(labelsOf(values))} `,
    `${name}_sum${braces(labelsOf(values))} `,
  ]);
  return (cells, at) => {
    let lines = '';
    for (let i = 0; i < prefixes.length; i++) lines += histogramLines(prefixes[i]!, cells, first + i * stride, at);
    return head + lines;
  };
}

function histogramLines(prefixes: readonly string[], cells: Float64Array, first: number, at: string): string {
  const buckets = prefixes.length - 2;
  let lines = '';
  let count = 0;
  for (let bucket = 0; bucket < buckets; bucket++) {
    count += cells[first + bucket]!;
    lines += `${prefixes[bucket]}${numberText(count)}${at}`;
  }
  const sum = cells[first + buckets]!;
  return `${lines}${prefixes[buckets]}${numberText(count)}${at}${prefixes[buckets + 1]}${numberText(sum)}${at}`;
}

/** The reader multiplies by 1000 and cuts the rest off, so a text that would come out a millisecond short gets half of one more. */
function timestamp(seconds: number): string {
  const ms = Math.round(seconds * 1000);
  const text = String(ms / 1000);
  return Math.trunc(Number(text) * 1000) === ms ? text : String((ms + 0.5) / 1000);
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

function braces(labels: InfoLabels): string {
  const all = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return `{${all.join(',')}}`;
}
