import type { AlertRule } from '../../observability/alerts/index.ts';
import type { RunSpec } from '../run-spec.ts';
import type { WorldColumn, WorldRecord } from './world-record.ts';

/** A stretch of time in which what an alert is about was really so, for at least as long as the alert waits. Seconds. */
export interface Violation {
  readonly fromSeconds: number;
  readonly toSeconds: number;
}

interface World {
  readonly record: WorldRecord;
  readonly faults: RunSpec['faults'];
}

/** Whether it is so at the moment of a row, by what had happened until then. */
type Truth = (world: World, row: number) => boolean;

const MINUTE = 60;
/** One request or step in a hundred: what a 99th percentile above its limit means. */
const P99_SHARE = 0.01;
/** A server is idle that works less than this share of the time: scrapes then find nothing running. */
const IDLE_SHARE = 0.1;

/**
 * The rule of each alert in terms of the world: exact values where metrics have buckets, means over the time between two scrapes
 * where a scrape sees a moment, requests without a first token where a histogram sees none, faults where a gauge reports them.
 */
const TRUTHS: Readonly<Record<string, Truth>> = {
  HighTTFT: ttftLate(1),
  ElevatedTTFT: ttftLate(0),
  MemoryExhaustion: kvAbove(0.98),
  KVCacheHigh: kvAbove(0.95),
  MemoryPressure: kvAbove(0.9),
  GPUFailure: ({ record, faults }, row) => faults.some((fault) => unhealthy(fault, row * record.intervalNs)),
  RequestFailures: shareAbove('failed', 'succeeded', 3 * MINUTE, 0.05),
  SchedulerStall: (world, row) => world.record.value(row, 'stalled') > 0 || slowSteps('slowSteps1', MINUTE)(world, row),
  SchedulerBottleneck: slowSteps('slowSteps0', 5 * MINUTE),
  HighPreemption: perMinuteAbove('preemptions', 5),
  PreemptionCapacity: perMinuteAbove('preemptions', 10),
  PrefixCacheTooSmall: perMinuteAbove('evictions', 100),
  LowCacheHit: shareBelow('hitBlocks', 'missedBlocks', 0.2),
  SpeculationIneffective: shareBelow('acceptedDrafts', 'rejectedDrafts', 0.5),
  QueueBacklog: ({ record }, row) => record.value(row, 'waitingNs') > 100 * record.intervalNs,
  SwappedQueueHigh: ({ record }, row) => record.value(row, 'swappedNs') > 50 * record.intervalNs,
  EngineDown: ({ record, faults }, row) => faults.some((fault) => isDown(fault, row * record.intervalNs)),
  KVCacheOrphanedBlocks: leaked,
  KVCacheLeak: (world, row) =>
    leaked(world, row) && world.record.value(row, 'busyNs') < IDLE_SHARE * world.record.intervalNs,
};

/** Violations of a rule in a run, or null for a rule that this table does not know. */
export function violationsOf(
  rule: Pick<AlertRule, 'name' | 'forSeconds'>,
  record: WorldRecord,
  faults: RunSpec['faults'],
  rows: number,
): Violation[] | null {
  const truth = TRUTHS[rule.name];
  if (truth === undefined) return null;
  const world = { record, faults };
  const intervalSeconds = record.intervalNs / 1e9;
  const violations: Violation[] = [];
  let from = -1;
  for (let row = 0; row <= rows; row++) {
    if (row < rows && truth(world, row)) {
      if (from < 0) from = row;
    } else if (from >= 0) {
      const lasted = (row - 1 - from) * intervalSeconds;
      if (lasted >= rule.forSeconds) {
        violations.push({ fromSeconds: from * intervalSeconds, toSeconds: row * intervalSeconds });
      }
      from = -1;
    }
  }
  return violations;
}

/** Sum over the rows that end in the last `seconds`. */
function sum({ record }: World, row: number, column: WorldColumn, seconds: number): number {
  const rows = Math.round((seconds * 1e9) / record.intervalNs);
  let total = 0;
  for (let i = Math.max(0, row - rows + 1); i <= row; i++) total += record.value(i, column);
  return total;
}

function ttftLate(which: 0 | 1): Truth {
  return (world, row) => {
    const late = sum(world, row, `late${which}`, 5 * MINUTE);
    return late > P99_SHARE * (late + sum(world, row, `timely${which}`, 5 * MINUTE));
  };
}

function slowSteps(column: 'slowSteps0' | 'slowSteps1', seconds: number): Truth {
  return (world, row) => sum(world, row, column, seconds) > P99_SHARE * sum(world, row, 'steps', seconds);
}

function kvAbove(ratio: number): Truth {
  return ({ record }, row) => record.value(row, 'usedNs') > ratio * record.blocksTotal * record.intervalNs;
}

function perMinuteAbove(column: WorldColumn, perMinute: number): Truth {
  return (world, row) => sum(world, row, column, 5 * MINUTE) > 5 * perMinute;
}

function shareAbove(part: WorldColumn, rest: WorldColumn, seconds: number, limit: number): Truth {
  return (world, row) => {
    const parts = sum(world, row, part, seconds);
    return parts > limit * (parts + sum(world, row, rest, seconds));
  };
}

function shareBelow(part: WorldColumn, rest: WorldColumn, limit: number): Truth {
  return (world, row) => {
    const parts = sum(world, row, part, 5 * MINUTE);
    return parts < limit * (parts + sum(world, row, rest, 5 * MINUTE));
  };
}

type Fault = RunSpec['faults'][number];

function unhealthy(fault: Fault, timeNs: number): boolean {
  if (fault.kind === 'device-lost') return timeNs >= fault.atNs;
  return fault.kind === 'unhealthy' && timeNs >= fault.fromNs && timeNs < fault.toNs;
}

function isDown(fault: Fault, timeNs: number): boolean {
  return fault.kind === 'process-down' && timeNs >= fault.fromNs && timeNs < fault.toNs;
}

/** Blocks have leaked and no new process has begun since. */
function leaked({ record, faults }: World, row: number): boolean {
  const timeNs = row * record.intervalNs;
  return faults.some(
    (leak) =>
      leak.kind === 'kv-leak' &&
      timeNs >= leak.atNs &&
      !faults.some((end) => end.kind === 'process-down' && end.fromNs >= leak.atNs && end.fromNs <= timeNs),
  );
}
