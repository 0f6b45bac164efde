import Table from 'cli-table3';
import { ALERT_RULES, type AlertInterval } from '../observability/alerts/index.ts';
import type { AlertsTest } from '../runtime/alerts-test/alerts-test.ts';
import type { AlertJudgement, AlertQuality } from '../runtime/alerts-test/judge-alerts.ts';
import { PLAIN_TABLE } from './plain-table.ts';

const NOTHING = '-';

/** The result as tables for a terminal: what fired when, how well each alert did, what was not as expected. */
export function alertsText(test: AlertsTest): string {
  const parts = [
    `${test.name}: ${clockText(test.endSeconds)} judged at ${test.rows} scrapes, one every ${test.intervalSeconds} s`,
    historyText(test),
  ];
  if (test.judgements !== null) parts.push(qualityText(test.judgements));
  parts.push(expectationText(test));
  if (test.prometheus !== null) parts.push(prometheusText(test.prometheus));
  return `${parts.join('\n\n')}\n`;
}

function historyText({ intervals }: AlertsTest): string {
  const fired = intervals.filter(({ firingSeconds }) => firingSeconds !== null);
  const pendingOnly = intervals.length - fired.length;
  const note = pendingOnly === 0 ? '' : `\n${pendingOnly} more times an alert was pending and did not fire.`;
  if (fired.length === 0) return `No alert fired.${note}`;
  const table = new Table({
    ...PLAIN_TABLE,
    head: ['alert', 'severity', 'pending', 'firing', 'resolved', 'fired for'],
  });
  for (const one of [...fired].sort((a, b) => a.firingSeconds! - b.firingSeconds!)) table.push(historyRow(one));
  return `${table.toString()}${note}`;
}

function historyRow(one: AlertInterval): string[] {
  const { job: _job, instance: _instance, ...labels } = one.labels;
  const named = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return [
    [one.alert, ...named].join(' '),
    one.severity,
    clockText(one.pendingSeconds),
    clockText(one.firingSeconds!),
    one.endSeconds === null ? 'still firing' : clockText(one.endSeconds),
    one.endSeconds === null ? NOTHING : durationText(one.endSeconds - one.firingSeconds!),
  ];
}

function qualityText(judgements: readonly AlertJudgement[]): string {
  const head = ['alert', 'violations', 'firings', 'precision', 'recall', 'delay', '10 % lower', '10 % higher'];
  const table = new Table({ ...PLAIN_TABLE, head });
  let quiet = 0;
  for (const { alert, violations, quality, lower, higher } of judgements) {
    const all = [quality, lower, higher];
    if (violations.length === 0 && all.every((one) => one === null || one.firings === 0)) {
      quiet++;
      continue;
    }
    table.push([
      alert,
      String(violations.length),
      `${quality.firings} (${durationText(quality.firingSeconds)})`,
      percentText(quality.precision),
      percentText(quality.recall),
      quality.delaysSeconds.length === 0 ? NOTHING : delayText(quality.delaysSeconds),
      qualityCell(lower),
      qualityCell(higher),
    ]);
  }
  const note = quiet === 0 ? '' : `\n${quiet} of ${ALERT_RULES.length} alerts were silent, and rightly so.`;
  const about = 'Against what really happened; thresholds 10 % lower and higher: firings, precision, recall';
  return `${about}\n${table.toString()}${note}`;
}

function qualityCell(quality: AlertQuality | null): string {
  if (quality === null) return NOTHING;
  const { firings, firingSeconds, precision, recall } = quality;
  return `${firings} (${durationText(firingSeconds)}), ${percentText(precision)}, ${percentText(recall)}`;
}

function expectationText({ expectations }: AlertsTest): string {
  if (expectations.length === 0) return 'Nothing is expected of this run.';
  const broken = expectations.filter(({ met }) => !met);
  if (broken.length === 0) return `All ${expectations.length} expectations met.`;
  const lines = broken.map(({ alert, expected }) =>
    expected === 'fires' ? `  ${alert} must fire and did not` : `  ${alert} must not fire and did`,
  );
  return `${broken.length} of ${expectations.length} expectations NOT met:\n${lines.join('\n')}`;
}

function prometheusText({ samplesCompared, differing, differences }: NonNullable<AlertsTest['prometheus']>): string {
  if (differing === 0) return `Prometheus says the same in all ${samplesCompared.toLocaleString('en-US')} samples.`;
  const lines = differences.map(
    ({ alert, labels, timeSeconds, inProcess, prometheus }) =>
      `  ${alert} {${labels}} at ${clockText(timeSeconds)}: ${inProcess}, Prometheus ${prometheus}`,
  );
  return `Prometheus DIFFERS for ${differing} alerts, first at:\n${lines.join('\n')}`;
}

function percentText(share: number | null): string {
  return share === null ? NOTHING : `${Math.round(100 * share)} %`;
}

function delayText(delays: readonly number[]): string {
  const [low, high] = [Math.min(...delays), Math.max(...delays)];
  return low === high ? durationText(low) : `${durationText(low)} .. ${durationText(high)}`;
}

/** A moment of the run: `hh:mm:ss`. */
function clockText(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const fraction = seconds % 1 === 0 ? '' : (seconds % 1).toFixed(3).slice(1);
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`;
}

function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.round(10 * seconds) / 10}s`;
  const whole = Math.round(seconds);
  const rest = whole % 60 === 0 ? '' : `${whole % 60}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}min${rest}`;
  const minutes = Math.floor((whole % 3600) / 60);
  return `${Math.floor(whole / 3600)}h${minutes === 0 ? '' : `${minutes}min`}`;
}
