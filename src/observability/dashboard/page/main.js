// Puts the page together: store, view, charts, and who is told of what.

import { AlertLanes, AlertStrip, activeAt } from './alerts.js';
import { Chart } from './chart.js';
import { formatTime } from './format.js';
import { Gauge } from './gauge.js';
import { startLive } from './live.js';
import { element, part, readModel, readRecording } from './model.js';
import { Store } from './store.js';
import { writeTable } from './table-view.js';
import { startTheme } from './theme.js';
import { TileView } from './tile.js';
import { View } from './view.js';

const model = readModel();
const recording = readRecording();
const columns = model.tiles.length + model.panels.reduce((sum, { series }) => sum + series.length, 0);
const frames = new Store(columns, recording === null);
const view = new View(frames, recording === null ? 900 : null);
const tiles = model.tiles.map((tile, index) => new TileView(tile, index, frames));
const charts = chartsOf();
const gauges = charts
  .filter(({ panel }) => panel.kind === 'gauge')
  .map((chart) => ({ chart, gauge: new Gauge(part(chart.article, '.gauge'), chart.panel) }));
const strip = new AlertStrip(model.rules);
const lanes =
  recording === null || recording.intervals === null ? null : new AlertLanes(recording.intervals, frames, view);
/** @type {import('./model.js').ActiveAlert[] | null} */
let active = null;
let tablesShown = false;
let drawAsked = false;

function chartsOf() {
  let column = model.tiles.length;
  return model.panels.map((panel) => {
    const chart = new Chart(panel, column, frames, view, model.heatmap.bounds);
    column += panel.series.length;
    return chart;
  });
}

/** Values beside the charts, figures, alerts: of the frame under the crosshair, or of the last one. */
function write() {
  const at = view.shown;
  const whole = recording !== null && view.cursor === null;
  for (const [index, tile] of tiles.entries()) {
    tile.write((whole ? recording.whole[index] : frames.columns[index]?.[at]) ?? null, whole);
  }
  for (const chart of charts) chart.write(at);
  for (const { chart, gauge } of gauges) gauge.write(chart.values(0)[at] ?? null);
  const time = frames.times[at] ?? 0;
  element('clock').textContent = frames.length === 0 || whole ? '' : formatTime(time);
  if (recording !== null) {
    element('connection-text').textContent = whole ? 'whole run' : 'at';
    if (recording.intervals === null) strip.write(null, time);
    else if (whole) strip.writeWhole(recording.intervals);
    else strip.write(activeAt(recording.intervals, time), time);
  } else strip.write(active, frames.end);
}

/** At most once per screen refresh, and only what can be seen. */
function draw() {
  if (drawAsked || document.visibilityState === 'hidden') return;
  drawAsked = true;
  requestAnimationFrame(() => {
    drawAsked = false;
    write();
    if (tablesShown) for (const chart of charts) writeTable(chart);
    else for (const chart of charts) chart.draw();
    lanes?.draw();
    for (const tile of tiles) tile.draw(view.range);
  });
}

function build() {
  for (const chart of charts) if (!chart.article.hidden) chart.build();
  lanes?.build();
  draw();
}

/** A run without a gateway has nothing to show of it. What is left alone in its line takes all of it. */
function arrangePanels() {
  for (const grid of document.querySelectorAll('.grid')) {
    const own = charts.filter(({ article }) => article.parentElement === grid);
    for (const chart of own) chart.article.hidden = recording !== null && chart.panel.liveOnly && chart.idle;
    const shown = own.filter(({ article }) => !article.hidden);
    for (const [index, { article }] of shown.entries()) {
      article.classList.toggle('wide', index === shown.length - 1 && index % 2 === 0);
    }
  }
}

function startControls() {
  for (const button of document.querySelectorAll('[data-range]')) {
    button.addEventListener('click', () => {
      const { range } = /** @type {HTMLElement} */ (button).dataset;
      view.show(range === 'full' ? null : Number(range));
      for (const other of document.querySelectorAll('[data-range]'))
        other.setAttribute('aria-pressed', String(other === button));
    });
  }
  const pause = document.getElementById('pause');
  pause?.addEventListener('click', () => {
    view.pause(!view.paused);
  });
  view.onRange.push(() => {
    pause?.setAttribute('aria-pressed', String(view.paused));
    if (pause !== null) pause.textContent = view.paused ? 'Resume' : 'Pause';
    document.documentElement.dataset['zoomed'] = String(view.zoom !== null);
    draw();
  });
  element('tables').addEventListener('click', () => {
    tablesShown = !tablesShown;
    element('tables').setAttribute('aria-pressed', String(tablesShown));
    document.documentElement.dataset['tables'] = String(tablesShown);
    for (const { article } of charts) {
      part(article, '.table').hidden = !tablesShown;
      part(article, '.plot-row').hidden = tablesShown;
    }
    if (tablesShown) draw();
    else build();
  });
  startTheme(element('theme'), draw);
}

/** Arrow keys move the crosshair of a focused chart; what it stands on is read out. */
function startKeys() {
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 };
  for (const chart of charts) {
    chart.place.addEventListener('keydown', (event) => {
      const { key } = /** @type {KeyboardEvent} */ (event);
      const from = frames.indexAt(view.range.min);
      const to = frames.indexAt(view.range.max);
      const step = steps[/** @type {keyof typeof steps} */ (key)];
      let at = null;
      if (step !== undefined) at = Math.min(to, Math.max(from, (view.cursor ?? to + (step < 0 ? 1 : 0)) + step));
      else if (key === 'Home') at = from;
      else if (key === 'End') at = to;
      else if (key === 'Escape') view.zoomTo(null);
      else return;
      event.preventDefault();
      chart.point(at);
      if (at !== null) element('announce').textContent = `${formatTime(frames.times[at] ?? 0)}: ${chart.text(at)}`;
    });
    chart.place.addEventListener('blur', () => chart.point(null));
  }
  document.addEventListener('keydown', ({ key, target }) => {
    const button = target instanceof HTMLElement ? target.closest('.info button') : null;
    if (key === 'Escape' && button instanceof HTMLElement) button.blur();
  });
}

function watchVisibility() {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const chart = charts.find(({ article }) => article === target);
        if (chart === undefined) continue;
        chart.visible = isIntersecting;
        if (isIntersecting) chart.draw();
      }
    },
    { rootMargin: '120px' },
  );
  for (const { article } of charts) observer.observe(article);
  document.addEventListener('visibilitychange', draw);
  let width = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth !== width) build();
    width = innerWidth;
  });
}

function start() {
  view.onCursor.push(write);
  if (recording !== null) for (const frame of recording.frames) frames.add(frame);
  startControls();
  startKeys();
  arrangePanels();
  build();
  watchVisibility();
  if (recording !== null) return;
  startLive({
    init(history) {
      frames.clear();
      for (const frame of history) frames.add(frame);
      draw();
    },
    frame(frame) {
      frames.add(frame);
      draw();
    },
    alerts(now) {
      active = now;
      draw();
    },
  });
}

start();
