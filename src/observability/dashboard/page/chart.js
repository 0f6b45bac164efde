// One panel: a uPlot, its legend, its axis.

/* global uPlot */
import { formatTick, formatTime, formatValue } from './format.js';
import { drawHeatmap, heatmapRange } from './heatmap.js';
import { made, part } from './model.js';
import { colour, translucent } from './theme.js';
import { drawThresholds, nearThresholds } from './thresholds.js';

const MINUTE = 60;
const HOUR = 3600;
export const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR, 120 * HOUR, 240 * HOUR,
]; // biome-ignore format: by unit
const HEIGHT = 178;

export class Chart {
  /**
   * @param {import('./model.js').Panel} panel @param {number} column first of the store that is its
   * @param {import('./store.js').Store} store @param {import('./view.js').View} view @param {number[]} bounds of the heat-map
   */
  constructor(panel, column, store, view, bounds) {
    this.panel = panel;
    this.column = column;
    this.store = store;
    this.view = view;
    this.bounds = bounds;
    this.article = document.getElementById(`panel-${panel.id}`) ?? made('article');
    this.place = part(this.article, '.plot');
    this.empty = part(this.article, '.empty');
    /** @type {{ item: HTMLElement, value: HTMLElement }[]} */
    this.legend = panel.series.map((series) => this.legendItem(series));
    this.visible = true;
    /** @type {any} */
    this.plot = null;
  }

  /** Column of a series. @param {number} index @returns {(number | null)[]} */
  values(index) {
    return this.store.columns[this.column + index] ?? [];
  }

  /** @param {import('./model.js').Series} series */
  legendItem({ label, colour: name, dashed }) {
    const item = made('li');
    const swatch = made('span', '', `swatch ${name}${dashed ? ' dashed' : ''}`);
    const value = made('span', '–', 'legend-value');
    item.append(swatch, made('span', label, 'legend-label'), value);
    part(this.article, '.legend').append(item);
    return { item, value };
  }

  /** Makes it anew: first, and when its width has changed. */
  build() {
    this.plot?.destroy();
    const { panel, view } = this;
    const width = Math.max(120, this.place.clientWidth);
    const grid = { stroke: () => colour('grid'), width: 1 };
    const axis = { stroke: () => colour('soft'), grid, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    const logarithmic = panel.kind === 'heatmap';
    this.plot = new uPlot(
      {
        width,
        height: HEIGHT,
        padding: [8, 20, 0, 0],
        legend: { show: false },
        cursor: {
          sync: { key: 'time', scales: ['x', null], setSeries: false },
          drag: { x: true, y: false, setScale: false },
          points: { size: 6 },
          y: false,
          bind: { dblclick: () => () => view.zoomTo(null) },
        },
        scales: {
          x: { time: false, range: () => [view.range.min, view.range.max] },
          y: { distr: logarithmic ? 3 : 1, range: () => this.yRange() },
        },
        axes: [
          { ...axis, size: 26, gap: 4, space: 64, incrs: TIME_STEPS, values: timeTicks },
          {
            ...axis,
            size: 54,
            gap: 4,
            space: 30,
            values: (/** @type {any} */ _, /** @type {(number | null)[]} */ ticks) =>
              ticks.map((tick) => (tick === null ? null : formatTick(tick, panel.unit))),
            ...(logarithmic ? { filter: decades } : {}),
          },
        ],
        series: [{}, ...panel.series.map((_, index) => this.lineOf(index))],
        bands: this.bands(),
        hooks: {
          drawAxes: [(/** @type {any} */ plot) => this.underlay(plot)],
          setCursor: [(/** @type {any} */ plot) => view.point(plot.cursor.idx ?? null)],
          setSelect: [(/** @type {any} */ plot) => this.selected(plot)],
        },
      },
      this.data(),
      this.place,
    );
  }

  /** @param {number} index */
  lineOf(index) {
    const { panel } = this;
    const series = panel.series[index];
    const name = series?.colour ?? 'blue';
    const filled = panel.kind === 'stacked' || (panel.kind === 'gauge' && index === 0);
    return {
      stroke: () => colour(name),
      width: panel.kind === 'stacked' ? 1 : 1.5,
      ...(series?.dashed ? { dash: [5, 4] } : {}),
      ...(filled ? { fill: () => translucent(name, panel.kind === 'stacked' ? 0.55 : 0.15) } : {}),
      spanGaps: false,
      points: { show: false },
    };
  }

  /** Of stacked series each is filled down to the one below. */
  bands() {
    if (this.panel.kind !== 'stacked') return [];
    return this.panel.series.slice(1).map((_, i) => ({ series: [i + 2, i + 1] }));
  }

  /** Stacked series are sums with those below them. */
  data() {
    const columns = this.panel.series.map((_, index) => this.values(index));
    if (this.panel.kind !== 'stacked') return [this.store.times, ...columns];
    const sums = columns.map((column) => column.slice());
    for (let at = 0; at < this.store.length; at++) {
      let sum = 0;
      if (columns.every((column) => column[at] === null)) continue;
      for (const column of sums) {
        sum += column[at] ?? 0;
        column[at] = sum;
      }
    }
    return [this.store.times, ...sums];
  }

  /** From 0 to a little above the data in sight, with room for the limits that it comes near to. @returns {[number, number]} */
  yRange() {
    const { panel, store, view } = this;
    const from = store.indexAt(view.range.min);
    const to = store.indexAt(view.range.max);
    if (panel.kind === 'heatmap') return heatmapRange(store, from, to, this.bounds);
    if (panel.top !== null) return [0, panel.top];
    let highest = 0;
    for (let at = from; at <= to; at++) {
      let sum = 0;
      for (let index = 0; index < panel.series.length; index++) {
        const value = this.values(index)[at] ?? 0;
        sum = panel.kind === 'stacked' ? sum + value : Math.max(sum, value);
      }
      highest = Math.max(highest, sum);
    }
    const limits = nearThresholds(panel.thresholds, highest).map(({ value }) => value);
    const top = Math.max(highest, ...limits);
    return [0, top > 0 ? top * 1.12 : 1];
  }

  /** @param {any} plot */
  underlay(plot) {
    if (this.panel.kind === 'heatmap') drawHeatmap(plot, this.store, this.bounds);
    drawThresholds(plot, this.panel);
  }

  /** A stretch was dragged over. @param {any} plot */
  selected(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    this.view.zoomTo({ min: plot.posToVal(left, 'x'), max: plot.posToVal(left + width, 'x') });
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  /** Brings it up to date, if it is in sight. */
  draw() {
    if (!this.visible || this.plot === null || this.article.hidden) return;
    this.plot.setData(this.data(), true);
  }

  /** The values of one frame beside the title, which is what a reader without eyes gets of it. @param {number} at */
  write(at) {
    let any = false;
    for (const [index, { item, value }] of this.legend.entries()) {
      const column = this.values(index);
      const ever = this.store.ever[this.column + index] === 1;
      any ||= ever;
      // Lines of GPUs that are not there.
      item.hidden = !ever && this.legend.length > 6;
      value.textContent = formatValue(column[at], this.panel.unit);
    }
    this.empty.hidden = any;
    this.place.setAttribute('aria-label', `${this.panel.title}: ${this.text(at)}`);
  }

  /** @param {number} at */
  text(at) {
    const shown = this.panel.series.flatMap(({ label }, index) => {
      const value = this.values(index)[at] ?? null;
      return value === null ? [] : [`${label} ${formatValue(value, this.panel.unit)}`];
    });
    return shown.length === 0 ? 'no traffic' : shown.join(', ');
  }

  /** Puts the crosshair on a frame; the other charts follow. @param {number | null} at */
  point(at) {
    if (this.plot === null) return;
    if (at === null) this.plot.setCursor({ left: -10, top: -10 });
    else this.plot.setCursor({ left: this.plot.valToPos(this.store.times[at], 'x'), top: 4 });
  }

  /** @returns {boolean} whether there is nothing but nulls and zeros */
  get idle() {
    return this.panel.series.every((_, index) => this.values(index).every((value) => value === null || value === 0));
  }
}

/** @param {any} plot @param {number[]} ticks */
export function timeTicks(plot, ticks) {
  const short = plot.scales.x.max - plot.scales.x.min < 10 * MINUTE;
  return ticks.map((tick) => formatTime(tick, short));
}

/** Of a logarithmic axis: 1, 2 and 5 of each decade, 1 alone where there are many. @param {any} plot @param {number[]} ticks */
function decades(plot, ticks) {
  const kept = plot.scales.y.max / plot.scales.y.min > 2000 ? [1] : [1, 2, 5];
  return ticks.map((tick) => {
    const first = tick / 10 ** Math.floor(Math.log10(tick) + 1e-9);
    return kept.some((digit) => Math.abs(first - digit) < 1e-6) ? tick : null;
  });
}
