import type { AlertRule } from './alert-rule.ts';
import {
  andOnInstance,
  compare,
  minus,
  or,
  rate,
  ratio,
  select,
  sumByInstance,
  threshold,
  type VectorExpression,
} from './expression.ts';

/** The objective: 99 % of the sequences have their first token within 0.5 s, over 30 days. */
const BUDGET = 0.01;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Share of first tokens later than 0.5 s. It is exact, since 0.5 is a bound of the histogram's buckets. */
function lateShare(seconds: number): VectorExpression {
  const intime = sumByInstance(rate(select('time_to_first_token_seconds_bucket', { le: '0.5' }), seconds));
  return minus(1, ratio(intime, sumByInstance(rate(select('time_to_first_token_seconds_count'), seconds))));
}

/** The budget is spent `factor` times as fast as it may be, over the long window, and still is, over the short one. */
function burns(factor: number, longSeconds: number, shortSeconds: number): VectorExpression {
  const limit = threshold(Number((factor * BUDGET).toPrecision(12)));
  return andOnInstance(compare(lateShare(longSeconds), '>', limit), compare(lateShare(shortSeconds), '>', limit));
}

/** Multi-window burn rates of the TTFT objective: 2 % of a month's budget in an hour, 5 % in 6 hours, 10 % in 3 days. */
export const SLO_RULES: readonly AlertRule[] = [
  {
    name: 'TTFTBudgetBurnsFast',
    severity: 'critical',
    condition: or(burns(14.4, HOUR, 5 * MINUTE), burns(6, 6 * HOUR, 30 * MINUTE)),
    forSeconds: 2 * MINUTE,
    summary: 'TTFT objective: the error budget will be gone in days',
    description: '{{ $value | humanizePercentage }} of the first tokens came later than 500ms; 1% may',
  },
  {
    name: 'TTFTBudgetBurnsSlowly',
    severity: 'warning',
    condition: burns(1, 3 * DAY, 6 * HOUR),
    forSeconds: HOUR,
    summary: 'TTFT objective: the error budget will not last the month',
    description: '{{ $value | humanizePercentage }} of the first tokens came later than 500ms; 1% may',
  },
];
