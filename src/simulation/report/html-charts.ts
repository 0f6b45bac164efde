import type { TimeSeries } from '../time-series.ts';

/** What a chart's axis counts; decides how its numbers are written. */
export type ChartUnit = 'seconds' | 'count' | 'rate';

/** A chart as data: the page's script (HTML_SCRIPT) draws it. */
export interface Chart {
  readonly title: string;
  readonly unit: ChartUnit;
  readonly series: readonly ChartSeries[];
}

export interface ChartSeries {
  readonly label: string;
  /** Which of the page's three colours, 1 to 3. */
  readonly colour: 1 | 2 | 3;
  readonly style: 'line' | 'area' | 'dashed';
  /** One per bucket; null = nothing to say. */
  readonly values: readonly (number | null)[];
}

export interface ChartData {
  /** Start of each bucket. */
  readonly seconds: readonly number[];
  readonly charts: readonly Chart[];
}

/**
 * The charts over simulated time, without the last bucket, which is not full and would end every line in a drop (unless
 * there are few). Troubles (preemptions, evictions, swaps) get a chart or a line
 * only if there were any.
 */
export function chartData(series: TimeSeries, blocksTotal: number): ChartData {
  const perSecond = (values: readonly number[]): number[] => values.map((value) => value / series.bucketSeconds);
  const charts: Chart[] = [
    {
      title: 'Time to first token',
      unit: 'seconds',
      series: [line('mean', 1, series.ttftMeanSeconds), line('max', 2, series.ttftMaxSeconds)],
    },
    {
      title: 'Inter-token latency',
      unit: 'seconds',
      series: [line('mean', 1, series.itlMeanSeconds), line('max', 2, series.itlMaxSeconds)],
    },
    {
      title: 'Sequences, peak in each bucket',
      unit: 'count',
      series: [
        area('running', 1, series.running),
        line('waiting', 2, series.waiting),
        ...(any(series.swapped) ? [line('swapped', 3, series.swapped)] : []),
      ],
    },
    {
      title: 'KV blocks',
      unit: 'count',
      series: [
        area('used', 1, series.blocksUsed),
        line('cached', 3, series.blocksCached),
        { label: 'total', colour: 2, style: 'dashed', values: series.blocksUsed.map(() => blocksTotal) },
      ],
    },
    {
      title: 'Tokens per second',
      unit: 'rate',
      series: [area('prefill', 3, series.prefillTokensPerSecond), line('decode', 1, series.decodeTokensPerSecond)],
    },
    {
      title: 'Requests per second',
      unit: 'rate',
      series: [line('arrived', 1, perSecond(series.arrivals)), line('finished', 3, perSecond(series.finishes))],
    },
  ];
  if (any(series.preemptions)) {
    charts.push({ title: 'Preemptions', unit: 'count', series: [area('preemptions', 1, series.preemptions)] });
  }
  if (any(series.evictions)) {
    const evictions = perSecond(series.evictions);
    charts.push({ title: 'Evicted blocks per second', unit: 'rate', series: [area('evictions', 3, evictions)] });
  }
  const drawn = series.buckets > FULL_BUCKETS_MIN ? series.buckets - 1 : series.buckets;
  return {
    seconds: Array.from({ length: drawn }, (_, i) => i * series.bucketSeconds),
    charts: charts.map((chart) => ({
      ...chart,
      series: chart.series.map((one) => ({ ...one, values: one.values.slice(0, drawn).map(rounded) })),
    })),
  };
}

/** Up to so many buckets the last one is drawn as well. */
const FULL_BUCKETS_MIN = 10;

/** Six digits are more than a chart shows, and the page is a third as large. */
function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(6));
}

function line(label: string, colour: 1 | 2 | 3, values: readonly (number | null)[]): ChartSeries {
  return { label, colour, style: 'line', values };
}

function area(label: string, colour: 1 | 2 | 3, values: readonly (number | null)[]): ChartSeries {
  return { label, colour, style: 'area', values };
}

function any(values: readonly number[]): boolean {
  return values.some((value) => value > 0);
}

/** Draws the charts of the data block `#chart-data` into `.chart[data-chart]` with uPlot, in the page's colours. */
export const HTML_SCRIPT = `
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('chart-data').textContent);
  const places = [...document.querySelectorAll('.chart')];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const round = (value, digits) => String(Number(value.toPrecision(digits)));
  const count = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return round(value / 1e6, 4) + ' M';
    if (size >= 1e4) return round(value / 1e3, 4) + ' k';
    return round(value, 4);
  };
  const seconds = (value) => {
    if (value === 0) return '0';
    if (value < 1e-3) return round(value * 1e6, 3) + ' µs';
    if (value < 1) return round(value * 1e3, 3) + ' ms';
    return round(value, 3) + ' s';
  };
  const two = (value) => String(value).padStart(2, '0');
  const clock = (value) => {
    const whole = Math.round(value);
    if (whole < 60) return round(value, 3) + ' s';
    const minutes = Math.floor(whole / 60);
    return Math.floor(minutes / 60) + ':' + two(minutes % 60) + ':' + two(whole % 60);
  };
  const minute = 60, hour = 3600, day = 86400;
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
    hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 5 * day, 10 * day, 20 * day, 50 * day];
  const sync = uPlot.sync('time');
  let plots = [];
  const draw = () => {
    for (const plot of plots) plot.destroy();
    plots = places.map((place) => {
      const chart = data.charts[Number(place.dataset.chart)];
      const text = chart.unit === 'seconds' ? seconds : count;
      const axis = { stroke: colour('--soft'), grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false } };
      const series = chart.series.map((one) => ({
        label: one.label,
        stroke: colour('--series-' + one.colour),
        width: one.style === 'area' ? 1.5 : 1.75,
        fill: one.style === 'area' ? colour('--fill-' + one.colour) : undefined,
        dash: one.style === 'dashed' ? [5, 4] : undefined,
        spanGaps: true,
        points: { show: data.seconds.length === 1 },
        value: (_, value) => (value == null ? '-' : text(value)),
      }));
      const width = place.clientWidth;
      return new uPlot({
        width,
        height: width < 420 ? 180 : 220,
        cursor: { sync: { key: sync.key }, drag: { x: true, y: false } },
        scales: { x: { time: false }, y: { range: (_, min, max) => [0, max > 0 ? max * 1.08 : 1] } },
        axes: [
          { ...axis, size: 34, space: 70, incrs: steps, values: (_, ticks) => ticks.map(clock) },
          { ...axis, size: 62, values: (_, ticks) => ticks.map(text) },
        ],
        series: [{ label: 'at', value: (_, value) => (value == null ? '-' : clock(value)) }, ...series],
      }, [data.seconds, ...chart.series.map((one) => one.values)], place);
    });
  };
  draw();
  let width = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth !== width) draw();
    width = innerWidth;
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
})();
`;
