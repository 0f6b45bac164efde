import type { AlertRule } from './alert-rule.ts';
import { CRITICAL_RULES } from './critical-rules.ts';
import { WARNING_RULES } from './warning-rules.ts';

/** All rules, the critical ones first. The one list from which Prometheus' files, the runbook's test and the live judgement are made. */
export const ALERT_RULES: readonly AlertRule[] = [...CRITICAL_RULES, ...WARNING_RULES];

/**
 * Which alerts keep which silent on the same instance: the left one says the same more urgently, or is the cause. An engine that
 * is down keeps all others silent.
 */
export const INHIBITIONS: readonly { readonly source: string; readonly targets: readonly string[] }[] = [
  { source: 'HighTTFT', targets: ['ElevatedTTFT'] },
  { source: 'MemoryExhaustion', targets: ['KVCacheHigh', 'MemoryPressure'] },
  { source: 'KVCacheHigh', targets: ['MemoryPressure'] },
  { source: 'PreemptionCapacity', targets: ['HighPreemption'] },
  { source: 'SchedulerStall', targets: ['SchedulerBottleneck'] },
  { source: 'EngineDown', targets: ALERT_RULES.map((rule) => rule.name).filter((name) => name !== 'EngineDown') },
];
