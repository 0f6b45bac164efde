// The strip of alerts: what is pending or firing, all rules below, and in a recording when each was.

import { TIME_STEPS, timeTicks } from './chart.js';
/* global uPlot */
import { formatAge, formatTime } from './format.js';
import { element, made } from './model.js';
import { colour, translucent } from './theme.js';

const SEVERITIES = ['critical', 'warning', 'info'];
const LANE_HEIGHT = 18;

/** @param {number | null} value */
function valueText(value) {
  return value === null ? '–' : String(Number(value.toPrecision(3)));
}

/** @param {string} name @param {string | null} url */
function nameNode(name, url) {
  if (url === null) return made('span', name, 'alert-name');
  const link = /** @type {HTMLAnchorElement} */ (made('a', name, 'alert-name'));
  link.href = url;
  link.target = '_blank';
  link.rel = 'noopener';
  link.title = `${name}: what to do`;
  return link;
}

/** Labels that tell apart alerts of one rule. @param {Record<string, string>} labels */
function labelText(labels) {
  return Object.entries(labels)
    .filter(([name]) => name !== 'job' && name !== 'instance')
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

export class AlertStrip {
  /** @param {import('./model.js').Rule[]} rules */
  constructor(rules) {
    this.rules = rules;
    this.section = element('alerts');
    this.summary = element('alerts-summary');
    this.list = element('alerts-active');
    this.table = element('alerts-rules');
    /** What stands there: most seconds nothing changes. */
    this.written = '';
  }

  /**
   * @param {import('./model.js').ActiveAlert[] | null} active null = nobody evaluates them @param {number} now seconds
   */
  write(active, now) {
    if (active === null) {
      this.summary.textContent = 'not evaluated here';
      return;
    }
    // Ages are whole minutes but for the first.
    const key = JSON.stringify([active, active.map(({ sinceSeconds }) => formatAge(now - sinceSeconds))]);
    if (key === this.written) return;
    this.written = key;
    const sorted = [...active].sort(
      (a, b) =>
        Number(b.state === 'firing') - Number(a.state === 'firing') ||
        SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity),
    );
    const firing = sorted.filter(({ state }) => state === 'firing');
    const pending = sorted.length - firing.length;
    const worst = firing[0]?.severity ?? (pending > 0 ? 'pending' : 'none');
    this.section.dataset['state'] = worst;
    const parts = [
      firing.length > 0 ? `${firing.length} firing` : '',
      pending > 0 ? `${pending} pending` : '',
      `${this.rules.length} rules`,
    ];
    const text =
      firing.length + pending === 0
        ? `all quiet, ${this.rules.length} rules`
        : parts.filter((each) => each !== '').join(', ');
    // A live region speaks whenever it is written to.
    if (this.summary.textContent !== text) this.summary.textContent = text;
    this.list.replaceChildren(...sorted.map((alert) => this.chip(alert, now)));
    this.table.replaceChildren(...this.rules.map((rule) => this.ruleRow(rule, sorted, now)));
  }

  /** What happened in a whole run; when it did, the lanes show. @param {import('./model.js').AlertInterval[]} intervals */
  writeWhole(intervals) {
    if (this.written === 'whole') return;
    this.written = 'whole';
    const fired = this.rules.filter(({ name }) =>
      intervals.some(({ alert, firingSeconds }) => alert === name && firingSeconds !== null),
    );
    this.section.dataset['state'] = fired[0]?.severity ?? 'none';
    this.summary.textContent = `${fired.length} of ${this.rules.length} rules fired in this run${intervals.length > 0 ? '; pale: pending' : ''}`;
    this.list.replaceChildren();
    const rows = this.rules.map((rule) => {
      const own = intervals.filter(({ alert }) => alert === rule.name);
      const first = own.find(({ firingSeconds }) => firingSeconds !== null) ?? own[0];
      const state = first === undefined ? 'inactive' : first.firingSeconds === null ? 'pending' : 'firing';
      const words = { inactive: 'never', pending: 'pending only', firing: 'fired' }[state];
      return this.row(rule, state, words, first === undefined ? '–' : formatTime(first.pendingSeconds), '–');
    });
    this.table.replaceChildren(...rows);
  }

  /** @param {import('./model.js').ActiveAlert} alert @param {number} now */
  chip(alert, now) {
    const rule = this.rules.find(({ name }) => name === alert.alert);
    const item = made('li', '', `chip ${alert.state} ${alert.severity}`);
    const labels = labelText(alert.labels);
    item.append(
      nameNode(alert.alert, rule?.runbookUrl ?? null),
      made('span', `${alert.state} for ${formatAge(now - alert.sinceSeconds)}, ${alert.severity}`, 'chip-state'),
    );
    const facts = [labels, alert.value === null ? '' : `value ${valueText(alert.value)}`].filter((fact) => fact !== '');
    if (facts.length > 0) item.append(made('span', facts.join(', '), 'chip-value'));
    item.title = `${alert.summary}. ${alert.description}`;
    return item;
  }

  /** @param {import('./model.js').Rule} rule @param {import('./model.js').ActiveAlert[]} active @param {number} now */
  ruleRow(rule, active, now) {
    const own = active.find(({ alert }) => alert === rule.name);
    const state = own?.state ?? 'inactive';
    if (own === undefined) return this.row(rule, state, state, '–', '–');
    const since = `${formatTime(own.sinceSeconds)} (${formatAge(now - own.sinceSeconds)})`;
    return this.row(rule, state, state, since, valueText(own.value));
  }

  /** @param {import('./model.js').Rule} rule @param {string} state @param {string} words @param {string} since @param {string} value */
  row(rule, state, words, since, value) {
    const row = made('tr', '', state);
    const head = made('th');
    head.setAttribute('scope', 'row');
    head.append(nameNode(rule.name, rule.runbookUrl));
    row.append(
      head,
      made('td', words),
      made('td', rule.severity),
      made('td', since),
      made('td', value),
      made('td', rule.forSeconds === 0 ? 'at once' : formatAge(rule.forSeconds)),
    );
    row.title = rule.summary;
    return row;
  }
}

/**
 * Alerts that were active at a time of a recording.
 * @param {import('./model.js').AlertInterval[]} intervals @param {number} time @returns {import('./model.js').ActiveAlert[]}
 */
export function activeAt(intervals, time) {
  return intervals
    .filter(({ pendingSeconds, endSeconds }) => pendingSeconds <= time && (endSeconds === null || time < endSeconds))
    .map(({ alert, severity, labels, pendingSeconds, firingSeconds }) => ({
      alert,
      severity,
      labels,
      state: firingSeconds !== null && firingSeconds <= time ? 'firing' : 'pending',
      sinceSeconds: pendingSeconds,
      value: null,
      summary: '',
      description: '',
    }));
}

/** When each alert of a recording was pending and firing, a lane each, on the time axis of the charts. */
export class AlertLanes {
  /**
   * @param {import('./model.js').AlertInterval[]} intervals @param {import('./store.js').Store} store
   * @param {import('./view.js').View} view
   */
  constructor(intervals, store, view) {
    this.intervals = intervals;
    this.store = store;
    this.view = view;
    this.names = [...new Set(intervals.map(({ alert }) => alert))];
    this.place = element('lanes');
    this.place.hidden = this.names.length === 0;
    const fired = intervals.filter(({ firingSeconds }) => firingSeconds !== null).length;
    const counted = `${fired} of ${intervals.length} became firing`;
    this.place.setAttribute('aria-label', `Alerts over time: ${this.names.join(', ')}; ${counted}`);
    this.labelWidth = 0;
    /** @type {any} */
    this.plot = null;
  }

  build() {
    if (this.names.length === 0) return;
    this.plot?.destroy();
    this.labelWidth = this.place.clientWidth < 500 ? 118 : 160;
    const { view, store } = this;
    this.plot = new uPlot(
      {
        width: Math.max(120, this.place.clientWidth),
        height: this.names.length * LANE_HEIGHT + 30,
        padding: [4, 20, 0, this.labelWidth],
        legend: { show: false },
        cursor: {
          sync: { key: 'time', scales: ['x', null], setSeries: false },
          drag: { x: true, y: false, setScale: false },
          y: false,
          points: { show: false },
          bind: { dblclick: () => () => view.zoomTo(null) },
        },
        scales: { x: { time: false, range: () => [view.range.min, view.range.max] }, y: { range: [0, 1] } },
        axes: [
          {
            stroke: () => colour('soft'),
            grid: { show: false },
            ticks: { show: false },
            font: '11px system-ui, sans-serif',
            size: 26,
            gap: 6,
            space: 64,
            incrs: TIME_STEPS,
            values: timeTicks,
          },
          { show: false },
        ],
        series: [{}, { stroke: 'transparent' }],
        hooks: {
          drawAxes: [(/** @type {any} */ plot) => this.lanes(plot)],
          setCursor: [(/** @type {any} */ plot) => view.point(plot.cursor.idx ?? null)],
          setSelect: [
            (/** @type {any} */ plot) => {
              const { left, width } = plot.select;
              if (width < 4) return;
              view.zoomTo({ min: plot.posToVal(left, 'x'), max: plot.posToVal(left + width, 'x') });
              plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
        },
      },
      [store.times, store.times.map(() => null)],
      this.place,
    );
  }

  draw() {
    this.plot?.setData([this.store.times, this.store.times.map(() => null)], true);
  }

  /** @param {any} plot */
  lanes(plot) {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    const height = LANE_HEIGHT * ratio;
    ctx.save();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = 'left';
    ctx.textBaseline = 'middle';
    for (const [lane, name] of this.names.entries()) {
      const top = bbox.top + lane * height;
      ctx.fillStyle = translucent('soft', 0.08);
      ctx.fillRect(bbox.left, top + 2 * ratio, bbox.width, height - 4 * ratio);
      for (const interval of this.intervals) {
        if (interval.alert === name) this.interval(plot, interval, top + 2 * ratio, height - 4 * ratio);
      }
      ctx.fillStyle = colour('text');
      ctx.fillText(name, bbox.left - (this.labelWidth - 2) * ratio, top + height / 2);
    }
    ctx.restore();
  }

  /** @param {any} plot @param {import('./model.js').AlertInterval} interval @param {number} top @param {number} height */
  interval(plot, { severity, pendingSeconds, firingSeconds, endSeconds }, top, height) {
    const { ctx } = plot;
    const { left, width } = plot.bbox;
    const at = (/** @type {number} */ seconds) =>
      Math.min(left + width, Math.max(left, plot.valToPos(seconds, 'x', true)));
    const end = at(endSeconds ?? this.store.end);
    if (end <= left || at(pendingSeconds) >= left + width) return;
    const name = severity === 'critical' ? 'bad' : severity === 'warning' ? 'warn' : 'slate';
    const fires = firingSeconds === null ? end : at(firingSeconds);
    ctx.fillStyle = translucent(name, 0.3);
    ctx.fillRect(at(pendingSeconds), top, Math.max(1, fires - at(pendingSeconds)), height);
    if (firingSeconds === null) return;
    ctx.fillStyle = translucent(name, 0.9);
    ctx.fillRect(fires, top, Math.max(2 * devicePixelRatio, end - fires), height);
  }
}
