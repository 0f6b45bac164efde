import type { PanelThreshold, PanelUnit } from './panel-definition.ts';

/** A value with its unit, in the fewest digits that say it. */
function valueText(value: number, unit: PanelUnit): string {
  switch (unit) {
    case 'seconds':
      return value < 1 ? `${plain(value * 1000)} ms` : `${plain(value)} s`;
    case 'ratio':
      return `${plain(value * 100)} %`;
    case 'percent':
      return `${plain(value)} %`;
    case 'per minute':
      return `${plain(value)} per minute`;
    case 'state':
      return value === 1 ? 'up' : String(value);
    case 'count':
      return plain(value);
    case 'tokens/s':
    case 'requests/s':
      return `${value.toLocaleString('en-US')} ${unit}`;
  }
}

/** "target below 200 ms", "critical above 98 %". */
export function thresholdText({ kind, comparison, value }: PanelThreshold, unit: PanelUnit): string {
  if (unit === 'state') return 'critical unless up';
  return `${kind} ${comparison === '>' ? 'above' : 'below'} ${valueText(value, unit)}`;
}

export function windowText(seconds: number): string {
  if (seconds === 0) return 'the value at the time';
  return seconds < 60 ? `${seconds} s` : `${seconds / 60} min`;
}

function plain(value: number): string {
  return String(Number(value.toPrecision(6)));
}
