import { PLACES } from '../page-layout.ts';
import type { PanelSeries } from './panel-definition.ts';
import type { PanelExpression, Selection } from './panel-expression.ts';

/** Which series count: those of the job and the instances that are chosen on the dashboard. */
export const CHOSEN = 'job="$job", instance=~"$instance"';
/** At least four scrapes, and all of the time that a point of the chart stands for. */
export const RATE_INTERVAL = '$__rate_interval';

/** A query per series, or one for all series that differ in a label alone. */
export interface PanelQuery {
  readonly legend: string;
  readonly expression: string;
}

export function queriesOf(series: readonly PanelSeries[], range: string): PanelQuery[] {
  const queries = new Map<string, PanelQuery>();
  for (const { label, expression, each } of series) {
    const query =
      each === undefined
        ? { legend: label, expression: promQl(expression, range) }
        : // "GPU 0 compute" is one of "GPU {{gpu_id}} compute".
          { legend: label.replace(/\d+/, `{{${each}}}`), expression: promQl(expression, range, each) };
    queries.set(query.legend, query);
  }
  return [...queries.values()];
}

/**
 * An expression in Prometheus' language, over all chosen instances together; `by`: a value for each of this label. Rates are those
 * of Prometheus, which extrapolates to the window's ends.
 */
export function promQl(expression: PanelExpression, range: string, by: string | null = null): string {
  const text = (of: PanelExpression) => promQl(of, range, by);
  const growth = (selections: readonly Selection[]) =>
    selections.map((selection) => aggregated('sum', `rate(${selector(selection, by)}[${range}])`, by)).join(' + ');
  switch (expression.kind) {
    case 'gauge': {
      const { of, aggregate = isShare(of) ? 'mean' : 'sum' } = expression;
      return aggregated(AGGREGATES[aggregate], selector(of, by), by);
    }
    case 'share':
      return `${aggregated('sum', selector(expression.of, by), by)} / ${aggregated('sum', selector(expression.to, by), by)}`;
    case 'rate': {
      const rate = growth(expression.of);
      return expression.per === 'minute' ? `60 * (${rate})` : rate;
    }
    case 'ratio':
      return `(${growth(expression.of)}) / (${growth(expression.to)})`;
    case 'quantile':
      return `histogram_quantile(${expression.quantile}, sum by (le) (rate(${expression.of}_bucket{${CHOSEN}}[${range}])))`;
    case 'mean':
      return `sum(rate(${expression.of}_sum{${CHOSEN}}[${range}])) / sum(rate(${expression.of}_count{${CHOSEN}}[${range}]))`;
    case 'above':
      return `clamp_min(${text(expression.from)} - ${text(expression.less)}, 0)`;
    case 'first':
      // A comparison drops NaN, which a plain "or" would take for an answer.
      return `(${expression.of.map((each) => `(${text(each)} >= 0)`).join(' or ')})`;
    case 'up': {
      const { stalledSecondsMax } = expression;
      return `min(up{${CHOSEN}}) * min(gpu_health_status{${CHOSEN}}) * (max(engine_stalled_seconds{${CHOSEN}}) <= bool ${stalledSecondsMax})`;
    }
  }
}

function isShare({ metric }: Selection): boolean {
  return ['ratio', 'percent'].includes(PLACES.get(metric)!.definition.unit);
}

const AGGREGATES = { sum: 'sum', mean: 'avg', min: 'min' } as const;

function aggregated(how: 'sum' | 'avg' | 'min', text: string, by: string | null): string {
  return by === null ? `${how}(${text})` : `${how} by (${by}) (${text})`;
}

/** The label that a query goes through is not asked for. */
function selector({ metric, where = {} }: Selection, by: string | null): string {
  const matchers = Object.entries(where)
    .filter(([label]) => label !== by)
    .map(([label, values]) => (values.length === 1 ? `${label}="${values[0]}"` : `${label}=~"${values.join('|')}"`));
  return `${metric}{${[CHOSEN, ...matchers].join(', ')}}`;
}
