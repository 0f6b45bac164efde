import * as common from '@grafana/grafana-foundation-sdk/common';
import * as grafana from '@grafana/grafana-foundation-sdk/dashboard';
import * as heatmap from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as stateTimeline from '@grafana/grafana-foundation-sdk/statetimeline';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import { HEATMAP_METRIC } from './dashboard-frames.ts';
import {
  type PanelColour,
  type PanelDefinition,
  type PanelRow,
  type PanelThreshold,
  type PanelUnit,
  panelMetrics,
  type TileDefinition,
} from './panel-definition.ts';
import { metricsOf } from './panel-expression.ts';
import { CHOSEN, promQl, queriesOf, RATE_INTERVAL } from './panel-promql.ts';
import { thresholdText } from './panel-text.ts';
import { PANELS, ROW_TITLES } from './panels.ts';
import { TILES } from './tiles.ts';

/** The variable of the dashboard. */
const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

/** deploy/grafana/twinfer.json: the panels of the built-in dashboard, over any number of instances and any time. */
export function grafanaDashboard(): string {
  const builder = new grafana.DashboardBuilder('Twinfer')
    .uid('twinfer')
    .description('An LLM inference server or its digital twin: latency, throughput, memory, caches, host.')
    .tags(['llm', 'inference', 'twinfer'])
    .timezone('browser')
    .refresh('15s')
    .time({ from: 'now-1h', to: 'now' })
    .tooltip(grafana.DashboardCursorSync.Crosshair)
    .withVariable(new grafana.DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(choice('job', 'label_values(engine_info, job)').label('Job'))
    .withVariable(
      choice('instance', 'label_values(engine_info{job="$job"}, instance)')
        .label('Instance')
        .multi(true)
        .includeAll(true)
        .current({ selected: true, text: 'All', value: '$__all' }),
    );
  for (const tile of TILES) builder.withPanel(tilePanel(tile));
  builder.withPanel(alertPanel());
  for (const row of Object.keys(ROW_TITLES) as PanelRow[]) {
    const panels = PANELS.filter((panel) => panel.row === row);
    if (panels.length === 0) continue;
    builder.withRow(new grafana.RowBuilder(ROW_TITLES[row]));
    for (const panel of panels) builder.withPanel(chartPanel(panel).span(12).height(8));
  }
  return `${JSON.stringify(builder.build(), null, 2)}\n`;
}

function choice(name: string, query: string): grafana.QueryVariableBuilder {
  return new grafana.QueryVariableBuilder(name)
    .datasource(DATASOURCE)
    .query({ query, refId: name })
    .definition(query)
    .refresh(grafana.VariableRefresh.OnTimeRangeChanged)
    .sort(grafana.VariableSort.AlphabeticalAsc);
}

function tilePanel(tile: TileDefinition) {
  // Figures over minutes keep their window, whatever stretch is looked at.
  const range = tile.windowSeconds >= 60 ? `${tile.windowSeconds / 60}m` : RATE_INTERVAL;
  return new stat.PanelBuilder()
    .title(tile.title)
    .description(described(tile.help, metricsOf(tile.expression), tile))
    .datasource(DATASOURCE)
    .withTarget(query('A', promQl(tile.expression, range), tile.title))
    .unit(UNITS[tile.unit])
    .mappings(tile.unit === 'state' ? UP_AND_DOWN : NO_TRAFFIC)
    .noValue(tile.unit === 'state' ? 'down' : 'no traffic')
    .thresholds(steps(tile.thresholds))
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(common.BigValueGraphMode.Area)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .span(4)
    .height(5);
}

function alertPanel() {
  return new stateTimeline.PanelBuilder()
    .title('Alerts')
    .description('Alerts of the bundled rules (deploy/prometheus/rules.yml) that are pending or firing.')
    .datasource(DATASOURCE)
    .withTarget(
      query(
        'A',
        `max by (alertname, alertstate, severity) (ALERTS{${CHOSEN}})`,
        '{{alertname}} ({{severity}}, {{alertstate}})',
      ),
    )
    .mappings([{ type: grafana.MappingType.ValueToText, options: { '1': { text: 'active', color: 'red', index: 0 } } }])
    .noValue('no alert')
    .span(24)
    .height(5);
}

function chartPanel(panel: PanelDefinition) {
  return panel.kind === 'heatmap' ? heatmapPanel(panel) : linesPanel(panel);
}

function heatmapPanel(panel: PanelDefinition) {
  const increase = `sum by (le) (increase(${HEATMAP_METRIC}_bucket{${CHOSEN}}[${RATE_INTERVAL}]))`;
  return new heatmap.PanelBuilder()
    .title(panel.title)
    .description(described(panel.help, panelMetrics(panel), panel))
    .datasource(DATASOURCE)
    .withTarget(query('A', increase, '{{le}}').format(PromQueryFormat.Heatmap))
    .yAxis(new heatmap.YAxisConfigBuilder().unit(UNITS[panel.unit]))
    .color(new heatmap.HeatmapColorOptionsBuilder().mode(heatmap.HeatmapColorMode.Scheme).scheme('Blues').steps(64))
    .cellGap(1)
    .showLegend();
}

function linesPanel(panel: PanelDefinition) {
  const stacked = panel.kind === 'stacked';
  const builder = new timeseries.PanelBuilder()
    .title(panel.title)
    .description(described(panel.help, panelMetrics(panel), panel))
    .datasource(DATASOURCE)
    .unit(UNITS[panel.unit])
    .min(0)
    .noValue('no traffic')
    .lineWidth(1)
    .fillOpacity(stacked ? 40 : panel.kind === 'gauge' ? 12 : 0)
    .showPoints(common.VisibilityMode.Never)
    .thresholds(steps(panel.thresholds))
    .thresholdsStyle(
      new common.GraphThresholdsStyleConfigBuilder().mode(
        panel.thresholds.length === 0 ? common.GraphThresholdsStyleMode.Off : common.GraphThresholdsStyleMode.Dashed,
      ),
    )
    .legend(
      new common.VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi));
  if (panel.top !== undefined) builder.max(panel.top);
  if (stacked) builder.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'));
  for (const [index, { legend, expression }] of queriesOf(panel.series, RATE_INTERVAL).entries()) {
    builder.withTarget(query(String.fromCharCode(65 + index), expression, legend));
  }
  for (const { label, colour } of panel.series.filter(({ each }) => each === undefined)) {
    builder.overrideByName(label, [{ id: 'color', value: { mode: 'fixed', fixedColor: COLOURS[colour] } }]);
  }
  return builder;
}

function query(refId: string, expression: string, legend: string): DataqueryBuilder {
  return new DataqueryBuilder().refId(refId).datasource(DATASOURCE).expr(expression).legendFormat(legend).range();
}

function described(
  help: string,
  metrics: readonly string[],
  panel: Pick<PanelDefinition, 'thresholds' | 'unit'>,
): string {
  const targets = panel.thresholds.map((threshold) => thresholdText(threshold, panel.unit));
  const kept = targets.length === 0 ? '' : ` Keep to: ${targets.join('; ')}.`;
  return `${help}${kept} Metrics: ${metrics.join(', ')}.`;
}

/** Between two limits a value is judged as the built-in dashboard does; a missed target is no alarm. */
function steps(thresholds: readonly PanelThreshold[]): grafana.ThresholdsConfigBuilder {
  const bounds = [...new Set(thresholds.map(({ value }) => value))].sort((a, b) => a - b);
  const inside = [Number.NEGATIVE_INFINITY, ...bounds].map((from, i) => {
    const to = bounds[i] ?? Number.POSITIVE_INFINITY;
    return from === Number.NEGATIVE_INFINITY ? to - 1 : to === Number.POSITIVE_INFINITY ? from + 1 : (from + to) / 2;
  });
  const colours = inside.map((value) => colourOf(value, thresholds));
  return new grafana.ThresholdsConfigBuilder()
    .mode(grafana.ThresholdsMode.Absolute)
    .steps(colours.map((color, i) => ({ value: i === 0 ? null : bounds[i - 1]!, color })));
}

function colourOf(value: number, thresholds: readonly PanelThreshold[]): string {
  const broken = thresholds.filter(({ kind, comparison, value: limit }) =>
    kind === 'target'
      ? comparison === '>'
        ? value < limit
        : value > limit
      : comparison === '>'
        ? value > limit
        : value < limit,
  );
  for (const [kind, colour] of [
    ['critical', 'red'],
    ['warning', 'orange'],
    ['target', 'text'],
  ] as const) {
    if (broken.some((threshold) => threshold.kind === kind)) return colour;
  }
  return thresholds.length === 0 ? 'text' : 'green';
}

const UNITS: Readonly<Record<PanelUnit, string>> = {
  seconds: 's',
  ratio: 'percentunit',
  percent: 'percent',
  count: 'short',
  'tokens/s': 'suffix: tok/s',
  'requests/s': 'reqps',
  'per minute': 'cpm',
  state: 'none',
};

const COLOURS: Readonly<Record<PanelColour, string>> = {
  blue: 'blue',
  teal: '#0d8a80',
  amber: 'orange',
  violet: 'purple',
  rose: '#cf2f5f',
  slate: '#8a95a3',
  green: 'green',
  cyan: '#0e83b0',
};

const NO_TRAFFIC: grafana.ValueMapping[] = [
  {
    type: grafana.MappingType.SpecialValue,
    options: { match: grafana.SpecialValueMatch.NullAndNan, result: { text: 'no traffic', color: 'text' } },
  },
];

const UP_AND_DOWN: grafana.ValueMapping[] = [
  {
    type: grafana.MappingType.ValueToText,
    options: { '1': { text: 'up', color: 'green', index: 0 }, '0': { text: 'down', color: 'red', index: 1 } },
  },
];
