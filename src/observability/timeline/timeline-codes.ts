import type {
  FinishReason,
  PreemptionReason,
  RejectionReason,
  SequenceState,
  StepStatus,
  WaitReason,
} from '../../core/index.ts';
import type { AdmittedRecord } from './timeline-record.ts';

// Words of records as numbers: their positions in these lists.

export const STATES: readonly SequenceState[] = ['held', 'waiting', 'running', 'swapped', 'finished'];
export const FINISHES: readonly FinishReason[] = ['stop', 'length', 'abort', 'rejected', 'timeout', 'error'];
export const PREEMPTIONS: readonly PreemptionReason[] = ['memory_pressure', 'priority'];
export const STATUSES: readonly StepStatus[] = ['ok', 'transient', 'sticky', 'device-lost'];
export const ADMISSIONS: readonly AdmittedRecord['how'][] = ['new', 'resumed', 'swapped-in'];
export const REJECTIONS: readonly RejectionReason[] = [
  'prompt-empty',
  'prompt-too-long',
  'never-fits',
  'prompt-exceeds-step',
  'queue-full',
  'deadline-passed',
  'draining',
  'device-lost',
];
export const WAITS: readonly WaitReason[] = [
  'budget',
  'blocks',
  'sequences',
  'preempted-this-step',
  'watermark',
  'overcommit',
  'in-flight',
];

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
