import { CATALOGUE } from './catalogue.ts';
import { EXECUTION_METRICS } from './catalogue-execution.ts';
import { GATEWAY_METRICS } from './catalogue-gateway.ts';
import { GPU_METRICS, MEMORY_METRICS } from './catalogue-memory.ts';
import { PROCESS_METRICS } from './catalogue-process.ts';
import { SCHEDULER_METRICS } from './catalogue-scheduler.ts';
import { TRACING_METRICS } from './catalogue-tracing.ts';
import type { MetricDefinition, MetricThreshold } from './metric-definition.ts';
import { VLLM_ALIASES, VLLM_CACHE_CONFIG_INFO } from './vllm-aliases.ts';

const CHAPTERS: readonly (readonly [title: string, metrics: readonly MetricDefinition[]])[] = [
  ['Scheduler', SCHEDULER_METRICS],
  ['Memory', MEMORY_METRICS],
  ['Execution', EXECUTION_METRICS],
  ['GPU', GPU_METRICS],
  ['Gateway', GATEWAY_METRICS],
  ['Process', PROCESS_METRICS],
  ['Tracing', TRACING_METRICS],
];

const INTRODUCTION = `# Metrics

Written from the catalogue in \`src/observability/\` by \`npx tsx src/runtime/write-metrics-doc.ts\`; a test fails when it is out of date.

\`GET /metrics\` answers in Prometheus' text format, or in OpenMetrics when the \`Accept\` header asks for it. The values live in
memory that the threads share, so that a scrape is answered while the engine hangs. All series of a metric exist from the start
with the value 0, except for gauges marked *absent at first*: those have no sample until there is something to say, since a
ratio of 0 would fire alerts. Simulated runs fill the same metrics with virtual times; \`engine_info{backend}\` tells them apart.

A histogram's buckets contain every threshold of an alert or target, so that "p99 above T" is exact: true if and only if more
than 1 % of the observations lie above T. What lies between two boundaries is interpolated. Select buckets by fractional bounds
(\`le="0.5"\`), never by whole ones (\`le="1"\`): servers write those in two ways.
`;

/** docs/METRICS.md. */
export function metricsDocument(): string {
  const chapters = CHAPTERS.map(([title, metrics]) => `## ${title}\n\n${metrics.map(entry).join('\n')}`);
  return [INTRODUCTION, ...chapters, aliases(), ''].join('\n').replace(/\n{3,}/g, '\n\n');
}

/** Metrics that no chapter has: a test wants none. */
export function undocumentedMetrics(): readonly string[] {
  const documented = new Set(CHAPTERS.flatMap(([, metrics]) => metrics.map(({ name }) => name)));
  return CATALOGUE.filter(({ name }) => !documented.has(name)).map(({ name }) => name);
}

function entry(metric: MetricDefinition): string {
  const lines = [
    `### ${metric.name}`,
    '',
    `${metric.help}.`,
    '',
    `- ${metric.type}, ${metric.unit}${presence(metric)}`,
  ];
  for (const { name, values } of metric.labels ?? []) {
    lines.push(
      `- label \`${name}\`${values.length === 0 ? '' : `: ${values.map((value) => `\`${value}\``).join(', ')}`}`,
    );
  }
  if (metric.buckets !== undefined) lines.push(`- buckets: ${metric.buckets.join(', ')}`);
  for (const threshold of metric.thresholds ?? []) lines.push(`- ${inWords(threshold)}`);
  if (metric.panel !== undefined) lines.push(`- dashboard: ${metric.panel.title}`);
  return `${lines.join('\n')}\n`;
}

function presence(metric: MetricDefinition): string {
  const from = metric.writer === 'scrape' ? ', worked out at the scrape' : '';
  return metric.absentAtStart === true ? `${from}, absent at first` : from;
}

function inWords({ kind, of, comparison, value }: MetricThreshold): string {
  const what = { value: '', p99: 'p99 ', 'per-minute': 'growth per minute ' }[of];
  return `${kind}: ${what}${comparison} ${value}`;
}

function aliases(): string {
  const rows = VLLM_ALIASES.map(({ name, from, plus = [], inTokens, summed }) => {
    const sources = [from, ...plus].map((source) => `\`${source}\``).join(' + ');
    return `| \`${name}\` | ${sources}${inTokens === true ? ', times the block size' : ''}${summed === true ? ', summed over labels' : ''} |`;
  });
  return [
    "## vLLM's names",
    '',
    "With `vllmAliases` on, these are exposed as well, for routers and dashboards that know vLLM's names (the Gateway API Inference",
    `Extension asks for the first three and \`${VLLM_CACHE_CONFIG_INFO}{block_size,num_gpu_blocks}\`):`,
    '',
    '| name | from |',
    '|---|---|',
    ...rows,
  ].join('\n');
}
