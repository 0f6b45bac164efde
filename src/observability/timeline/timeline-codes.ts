import type { AdmittedRecord } from './timeline-record.ts';

/** How a sequence was admitted, as a number: its position. The core's lists of values are written the same way. */
export const ADMISSIONS: readonly AdmittedRecord['how'][] = ['new', 'resumed', 'swapped-in'];

/** First word of a record; its second word is its length in words. */
export const CODE = {
  begin: 1,
  live: 2,
  received: 3,
  rejected: 4,
  admitted: 5,
  preempted: 6,
  finished: 7,
  step: 8,
  end: 9,
} as const;

/**
 * Words of a step's record: its plan's share (running, waiting, swapped, wait reason, head, evictions, four host phases),
 * all of it before its rows, and each row.
 */
export const PLAN_WORDS = 11;
export const STEP_WORDS = 16 + PLAN_WORDS;
export const ROW_WORDS = 5;
