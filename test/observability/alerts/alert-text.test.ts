import { describe, expect, it } from 'vitest';
import { ALERT_RULES, alertText, SLO_RULES } from '../../../src/observability/alerts/index.ts';

describe('the text of an alert', () => {
  it.each([
    ['humanizeDuration', 0.024625, '24.62ms'],
    ['humanizeDuration', 0.024375, '24.38ms'],
    ['humanizeDuration', 0, '0s'],
    ['humanizeDuration', 1.5, '1.5s'],
    ['humanizeDuration', -61, '-1m 1s'],
    ['humanizeDuration', 90_061, '1d 1h 1m 1s'],
    ['humanizeDuration', Number.NaN, 'NaN'],
    ['humanizePercentage', 0.98765, '98.77%'],
    ['humanizePercentage', 1234.5, '1.234e+05%'],
    ['humanizePercentage', Number.POSITIVE_INFINITY, '+Inf%'],
    ['humanize', 1234, '1.234k'],
    ['humanize', 999.96, '1000'],
    ['humanize', 0.00001234, '12.34u'],
  ])('%s of %f is %s, as Prometheus writes it', (format, value, text) => {
    expect(alertText(`a {{ $value | ${format} }} b`, value, {})).toBe(`a ${text} b`);
  });

  it('names labels; one that is not there is empty', () => {
    expect(alertText('GPU {{ $labels.gpu_id }}{{ $labels.other }}', 0, { gpu_id: '3' })).toBe('GPU 3');
  });

  it('refuses what only Prometheus would understand', () => {
    expect(() => alertText('{{ $value }}', 1, {})).toThrow(
      'alert text: {{ $value }} is not allowed; allowed: {{ $labels.NAME }}, {{ $value | humanize or humanizePercentage or humanizeDuration }}',
    );
    for (const { summary, description } of [...ALERT_RULES, ...SLO_RULES]) {
      expect(alertText(summary + description, 1, {})).not.toContain('{{');
    }
  });
});
