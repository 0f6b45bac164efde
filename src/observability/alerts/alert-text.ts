import type { AlertLabels } from './alert-history.ts';

/**
 * The text of a template of Prometheus, as Prometheus 2.42 makes it. Known are `{{ $labels.NAME }}` and `{{ $value | F }}` with F one of
 * `humanize`, `humanizePercentage`, `humanizeDuration`. Throws RangeError for anything else, so that a text which only one of both
 * understands is found when it is written.
 */
export function alertText(template: string, value: number, labels: AlertLabels): string {
  return template.replaceAll(/\{\{(.*?)\}\}/g, (_, action: string) => {
    const label = /^ \$labels\.(\w+) $/.exec(action);
    if (label !== null) return labels[label[1]!] ?? '';
    const written = /^ \$value \| (\w+) $/.exec(action);
    const format = written === null ? undefined : FORMATS[written[1]!];
    if (format === undefined) {
      throw new RangeError(
        `alert text: {{${action}}} is not allowed; allowed: {{ $labels.NAME }}, {{ $value | ${Object.keys(FORMATS).join(' or ')} }}`,
      );
    }
    return format(value);
  });
}

const FORMATS: Readonly<Record<string, (value: number) => string>> = {
  humanize: (value) => prefixed(value),
  humanizePercentage: (value) => `${fourDigits(value * 100)}%`,
  humanizeDuration,
};

function humanizeDuration(value: number): string {
  if (!Number.isFinite(value)) return fourDigits(value);
  if (value === 0) return '0s';
  if (Math.abs(value) < 1) return `${prefixed(value)}s`;
  const sign = value < 0 ? '-' : '';
  const whole = Math.trunc(Math.abs(value));
  const [seconds, minutes, hours] = [whole % 60, Math.trunc(whole / 60) % 60, Math.trunc(whole / 3600) % 24];
  const days = Math.trunc(whole / 86_400);
  if (days > 0) return `${sign}${days}d ${hours}h ${minutes}m ${seconds}s`;
  if (hours > 0) return `${sign}${hours}h ${minutes}m ${seconds}s`;
  if (minutes > 0) return `${sign}${minutes}m ${seconds}s`;
  return `${sign}${fourDigits(Math.abs(value))}s`;
}

/** With the prefix of a unit: 1234 is 1.234k. */
function prefixed(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return fourDigits(value);
  let scaled = value;
  let prefix = '';
  if (Math.abs(value) >= 1) {
    for (const next of 'kMGTPEZY') {
      if (Math.abs(scaled) < 1000) break;
      prefix = next;
      scaled /= 1000;
    }
  } else {
    for (const next of 'munpfazy') {
      if (Math.abs(scaled) >= 1) break;
      prefix = next;
      scaled *= 1000;
    }
  }
  return fourDigits(scaled) + prefix;
}

/** `%.4g` of Go: half-way values go to the even digit, where JavaScript's go up. */
function fourDigits(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return '0';
  const exact = value.toExponential(60);
  const [, kept, last, rest] = /^(-?\d\.\d\d)(\d)(\d*)/.exec(exact)!;
  const halfway = /^50*$/.test(rest!) && Number(last) % 2 === 0;
  const [digits, exponent] = halfway
    ? [`${kept}${last}`, exact.slice(exact.indexOf('e') + 1)]
    : (value.toExponential(3).split('e') as [string, string]);
  if (Number(exponent) >= -4 && Number(exponent) < 4) return String(Number(`${digits}e${exponent}`));
  const sign = exponent.startsWith('-') ? '-' : '+';
  return `${Number(digits)}e${sign}${exponent.slice(1).padStart(2, '0')}`;
}
